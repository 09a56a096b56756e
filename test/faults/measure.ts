/**
 * How long it takes until a dead peer is noticed, and until its jobs run elsewhere, for every fault of the network.
 *
 *   npm run torture:faults -- measure [runs of each, default 3]
 */
import { FAULTS, isRight, look, openNetwork, runningOn, untilDecided, untilState, type Fault } from './network.ts';
import { until } from '../support/postern.ts';

export interface Measured {
  readonly fault: Fault;
  /** Until the gateway says that the worker is away. */
  readonly noticedMs: number;
  /** Until its job is an attempt of the other worker. */
  readonly elsewhereMs: number;
}

const DELAY_MS = 40_000;

/** Breaks the network of one worker while it runs a job, and heals it when the job runs on the other one. */
export async function measure(fault: Fault): Promise<Measured> {
  const network = await openNetwork();
  const { gateway, workers } = network;
  const [victim, other] = workers;
  try {
    const id = await runningOn(gateway, victim.name, DELAY_MS);
    const began = performance.now();
    const since = (): number => Math.round(performance.now() - began);
    victim.suffer(FAULTS[fault]);
    const noticed = untilState(gateway, victim.name, 'away').then(since);
    const elsewhere = until('the job to run elsewhere', 120_000, async () => {
      const { attempt, worker } = await look(gateway, id);
      return attempt > 1 && worker === other.name ? true : null;
    }).then(since);
    const [noticedMs, elsewhereMs] = await Promise.all([noticed, elsewhere]);
    // Back before the second attempt ends: what the first one computed is late, and must change nothing.
    victim.suffer(null);
    await untilState(gateway, victim.name, 'connected');
    const seen = await untilDecided(gateway, id);
    if (!isRight(seen) || seen.attempt !== 2 || seen.worker !== other.name) {
      throw new Error(`decided as ${JSON.stringify(seen)}`);
    }
    return { fault, noticedMs, elsewhereMs };
  } finally {
    await network.close();
  }
}
