/**
 * One fault run, on the callers' host: callers of every kind go on while several faults at a time are drawn from a seed; then everything
 * is put right, and what was promised is held against what is there.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { createRandom, type Random } from '../support/random.ts';
import { until } from '../support/postern.ts';
import type { LanPlan } from '../support/lan.ts';
import { createCallers, type Callers } from './callers.ts';
import { inspectDecisions, noteDecisions } from './decisions.ts';
import { LOSSES, drawFault, startAgain, type Fault } from './faults.ts';
import { measure, type Loss, type Measured } from './measure.ts';
import { plant, type Sabotage } from './sabotages.ts';
import { GATEWAYS, Site, WEBHOOK_PORT, WORKERS } from './site.ts';
import { openReceiver } from './webhooks.ts';

export interface RunOptions {
  readonly plan: LanPlan;
  readonly seconds: number;
  readonly seed: number;
  readonly callersOfEachKind: number;
  /** How many faults at a time. */
  readonly atOnce: number;
  /** Faults last so many times as long as they are drawn. */
  readonly holdFactor: number;
  /** Each way in which a gateway is lost is measured so often before. */
  readonly measurements: number;
  readonly sabotage: Sabotage | null;
}

export interface RunResult {
  readonly seed: number;
  readonly seconds: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly accepted: number;
  readonly succeeded: number;
  /** Every attempt was interrupted: decided, though not as the caller hoped. */
  readonly exhausted: number;
  readonly keysAskedAgain: number;
  readonly told: number;
  /** By kind of caller: what was answered, and what the protocol let the caller do about it. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly measured: readonly Measured[];
  readonly problems: readonly string[];
}

/** A job that is over is told within a retry or two of its webhook. */
const TOLD_MS = 120_000;
const SHORT_MS = 10_000;
/** Before the last fault. */
const LAST_ACCEPTED = 20;
const PROGRESS_MS = 5_000;

export async function run(options: RunOptions, progress: (line: string) => void): Promise<RunResult> {
  const { plan, seconds, seed, callersOfEachKind, measurements, sabotage } = options;
  const random = createRandom(seed);
  progress('starting a database, a balancer, three gateways and four workers');
  const site = await Site.open({ plan, balancerExtra: sabotage?.balancer ?? [] });
  try {
    await site.untilWell();
    await noteDecisions(site.postgres, site.database);
    if (sabotage) await plant(site, sabotage);
    const address = site.lan.address('callers');
    const callers = createCallers({
      url: site.url,
      apiKey: site.apiKey,
      webhook: `http://${address}:${WEBHOOK_PORT}/`,
      random: random.fork().next,
      ofEach: callersOfEachKind,
    });
    const { promises } = callers;
    const receiver = await openReceiver(address, WEBHOOK_PORT, promises);
    callers.start();
    const measured = await measureLosses(site, callers, measurements, progress);
    const faults = await breakThings(site, random, options, () => promises.made.size, progress);
    progress('everything is put right');
    await site.untilWell();
    // The last one finds everybody at work, in every run: what was answered until then must be on the disk.
    const before = promises.made.size;
    await until('more to be accepted', TOLD_MS, () =>
      Promise.resolve(promises.made.size >= before + LAST_ACCEPTED ? true : null),
    );
    await site.postgres.stop('immediate');
    await site.postgres.start();
    faults['database restarted'] = (faults['database restarted'] ?? 0) + 1;
    await site.untilWell();
    await callers.stop();
    progress(`reading ${promises.made.size} predictions once more`);
    const ended = await callers.finish();
    // Who is known to have lost something waits for no word of it.
    await until('every webhook', promises.problems.length > 0 ? SHORT_MS : TOLD_MS, () =>
      Promise.resolve([...callers.told].every((id) => receiver.heard.has(id)) ? true : null),
    ).catch(() => promises.wrong(`of ${callers.told.size} decisions ${receiver.heard.size} were told to the webhook`));
    receiver.close();
    const problems = [
      ...promises.problems,
      ...site.problems,
      ...(await inspectDecisions(site.postgres, site.database)),
    ];
    return {
      seed,
      seconds,
      faults,
      accepted: promises.made.size,
      ...ended,
      told: callers.told.size,
      outcomes: sorted(callers.counts),
      measured,
      problems,
    };
  } finally {
    await site.close();
  }
}

async function measureLosses(
  site: Site,
  callers: Callers,
  measurements: number,
  progress: (line: string) => void,
): Promise<Measured[]> {
  const measured: Measured[] = [];
  for (let round = 0; round < measurements; round += 1) {
    for (const loss of Object.keys(LOSSES) as Loss[]) {
      const victim = GATEWAYS[measured.length % GATEWAYS.length]!;
      // Numbers that no caller of the crowd comes to.
      let n = 1_000_000 * (measured.length + 1);
      const one = await measure({ site, callers, loss, victim, nextNumber: () => (n += 1) });
      measured.push(one);
      progress(JSON.stringify(one));
    }
  }
  await site.untilWell();
  return measured;
}

/** So many faults at a time, until the time is over; then each is put right. */
async function breakThings(
  site: Site,
  random: Random,
  { seconds, atOnce, holdFactor }: RunOptions,
  accepted: () => number,
  progress: (line: string) => void,
): Promise<Record<string, number>> {
  const faults: Record<string, number> = {};
  const taken = new Map<Fault['part'], string>();
  const over = AbortSignal.timeout(seconds * 1_000);
  const hold = (ms: number): Promise<unknown> => pause(ms, undefined, { signal: over }).catch(() => undefined);

  async function lane(own: Random): Promise<void> {
    while (!over.aborted) {
      const fault = drawFault(site, own, (part) => !taken.has(part));
      if (fault !== null) {
        taken.set(fault.part, fault.name);
        faults[fault.name] = (faults[fault.name] ?? 0) + 1;
        const end = await fault.begin();
        await hold(fault.holdMs * holdFactor);
        await end();
        taken.delete(fault.part);
      }
      await hold(own.int(100, 1_500));
    }
  }

  const began = performance.now();
  const ticker = setInterval(() => {
    const now = [...taken].map(([part, name]) => `${name} (${part})`).join(', ');
    progress(`${Math.round((performance.now() - began) / 1_000)} of ${seconds} s, ${accepted()} accepted; now: ${now}`);
  }, PROGRESS_MS);
  try {
    await Promise.all(Array.from({ length: atOnce }, () => lane(random.fork())));
  } finally {
    clearInterval(ticker);
  }
  for (const name of [...GATEWAYS, ...WORKERS]) if (!site.isAlive(name)) await startAgain(site, name);
  return faults;
}

const sorted = (counts: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
