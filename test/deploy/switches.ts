/** Switches under load, and what became of every request: for the test, and for the long form of it. */
import { setTimeout as pause } from 'node:timers/promises';
import { untilModel } from '../support/postern.ts';
import { createCallers, type CallersOptions, type Tally } from './callers.ts';
import { Site } from './site.ts';

export interface SwitchesOptions {
  readonly switches: number;
  /** Every so manieth is a rollback to the instance that is still warm. */
  readonly rollbackEvery?: number;
  readonly callers?: Partial<Omit<CallersOptions, 'url'>>;
  /** Between two switches. */
  readonly pauseMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** In front of the gateway; gets the site before the supervisor is started and gives the address that callers use. */
  readonly front?: (site: Site) => Promise<{ readonly url: string; stop(): Promise<void> }>;
  readonly onSwitch?: (done: number, tookMs: number, tally: Tally) => void;
}

export interface SwitchesResult extends Omit<Tally, 'accepted' | 'failures'> {
  readonly switches: number;
  readonly accepted: number;
  readonly failures: readonly string[];
  readonly problems: readonly string[];
  readonly switchMs: readonly number[];
}

export const LOAD: Omit<CallersOptions, 'url'> = {
  posting: 50,
  thinking: 10,
  thinkMs: 6_000,
  polling: 5,
  streaming: 4,
  uploading: 2,
  inferring: 3,
};

export async function runSwitches(options: SwitchesOptions): Promise<SwitchesResult> {
  const { switches, rollbackEvery = 5, pauseMs = 1_000 } = options;
  const site = await Site.make({ env: { POSTERN_SOAK_S: '60', ...options.env } });
  const front = await options.front?.(site);
  const callers = createCallers({ ...LOAD, ...options.callers, url: front?.url ?? site.url });
  try {
    const releases = [site.release('a'), site.release('b'), site.release('c')];
    await site.supervise();
    await site.ask('switch', releases[0]!);
    await site.worker('gpu-1');
    await untilModel(site.serviceUrl, 'echo');
    const { tally } = callers;
    callers.start();
    const switchMs: number[] = [];
    for (let done = 1; done <= switches; done += 1) {
      await pause(pauseMs);
      const isRollback = done % rollbackEvery === 0;
      const words = isRollback ? ['rollback'] : ['switch', releases[done % releases.length]!];
      const result = await site.ask(...words);
      switchMs.push(Number(result.took_ms));
      options.onSwitch?.(done, Number(result.took_ms), tally);
    }
    await pause(pauseMs);
    await callers.end();
    const problems = await callers.audit();
    return { ...tally, accepted: tally.accepted.size, switches, problems, switchMs };
  } finally {
    callers.abandon();
    await site.remove();
    await front?.stop();
  }
}
