/** What happens when the instance that serves ends, or answers no more. */
import { type Timer } from '../clock.ts';
import { toPosternError } from '../errors.ts';
import type { Fleet } from './fleet.ts';
import type { Instance } from './instance.ts';
import { instanceSocket } from './layout.ts';
import { readManifest } from './manifest.ts';
import { probe } from './probe.ts';
import type { Serving } from './serving.ts';
import * as bounds from './supervisor-options.ts';
import type { SupervisorOptions } from './supervisor-options.ts';

export interface RecoveryOptions extends Pick<SupervisorOptions, 'layout' | 'clock' | 'logger'> {
  readonly serving: Serving;
  readonly fleet: Fleet;
  readonly inTurn: <T>(step: () => Promise<T>) => Promise<T>;
  readonly isStopping: () => boolean;
  readonly note: (release: string) => Promise<void>;
}

export function createRecovery(options: RecoveryOptions) {
  const { layout, clock, logger, serving, fleet, inTurn, isStopping } = options;
  const crashes: number[] = [];

  const isServing = (): boolean => serving.active !== null && serving.active.exit === null;

  function onExit(instance: Instance): void {
    serving.forget(instance);
    if (serving.active !== instance || isStopping()) return;
    crashes.push(clock.monotonic());
    void inTurn(() => recover(instance)).catch((error: unknown) => later(instance.release, error));
  }

  /** What served is gone: the warm one takes its place, or it is started again, or the release before it is. */
  async function recover(gone: Instance): Promise<void> {
    if (serving.active !== gone || isStopping()) return;
    const reason = `it ended by itself: ${fleet.lastWords(gone)}`;
    logger.error('the instance that served ended', { instance: gone.name, release: gone.release });
    await options.note(gone.release);
    const next = serving.ready;
    if (next === null) {
      later(gone.release, reason);
      return;
    }
    if (next.release !== gone.release) await serving.save(serving.judged(gone.release, 'failed', reason));
    await serving.bringForward(next, () => undefined);
  }

  /** Tries again after a while that grows, and lets others have their turn meanwhile: a switch may be the cure. */
  function later(release: string, why: unknown): void {
    const recent = recentCrashes();
    const delayMs = bounds.FIRST_RESTART_MS * 2 ** Math.max(0, recent - 1);
    clock.after(Math.min(delayMs, bounds.LAST_RESTART_MS), () => {
      if (isStopping()) return;
      const reason = why instanceof Error ? why.message : String(why);
      void inTurn(() => revive(release, reason)).catch((error: unknown) => {
        logger.error('a release could not be started', { release, error: toPosternError(error).message });
        crashes.push(clock.monotonic());
        later(release, error);
      });
    });
  }

  function recentCrashes(): number {
    const recent = crashes.filter((at) => clock.monotonic() - at < bounds.CRASH_WINDOW_MS);
    crashes.splice(0, crashes.length, ...recent);
    return recent.length;
  }

  async function revive(release: string, reason: string): Promise<void> {
    if (isStopping() || isServing()) return;
    const fallback = recentCrashes() >= bounds.MAX_CRASHES ? await healthyBefore(release) : null;
    if (fallback !== null) {
      logger.error('the release crashed too often and is given up', { release, for: fallback });
      await serving.save(serving.judged(release, 'failed', reason));
    }
    const next = await serving.launch(await readManifest(layout, fallback ?? release));
    await serving.untilReady(next, () => undefined);
    await serving.bringForward(next, () => undefined);
  }

  /** The healthy release that served last before this one, if its folder is still good. */
  async function healthyBefore(release: string): Promise<string | null> {
    const healthy = Object.entries(serving.state.releases)
      .filter(([id, { health }]) => id !== release && health === 'healthy')
      .sort(
        ([a, x], [b, y]) =>
          Number(b === serving.state.previous) - Number(a === serving.state.previous) || y.since_ms - x.since_ms,
      );
    for (const [id] of healthy) {
      const isGood = await readManifest(layout, id).then(
        () => true,
        () => false,
      );
      if (isGood) return id;
    }
    return null;
  }

  /** A process that is stopped, or in an endless loop, holds what another one needs: it is ended, and recovered from. */
  function watchActive(): Timer {
    let silent = 0;
    let isAsking = false;
    let last: Instance | null = null;
    return clock.every(bounds.LIVE_PERIOD_MS, () => {
      const instance = serving.active;
      if (instance === null || isAsking) return;
      if (last !== instance) silent = 0;
      last = instance;
      isAsking = true;
      void probe({ socketPath: instanceSocket(layout, instance.name) }).then(({ status: answered, reason }) => {
        isAsking = false;
        silent = answered === null ? silent + 1 : 0;
        if (silent < bounds.MAX_SILENT_PROBES || instance !== serving.active) return;
        logger.error('the instance that serves does not answer and is ended', { instance: instance.name, reason });
        instance.kill('SIGKILL');
      });
    });
  }

  return { onExit, revive, later, watchActive };
}
