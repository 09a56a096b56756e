/**
 * Who serves, and how another one comes to serve in its place. Owner of `state.json`, of the links that lead to what serves, and of the
 * two instances that matter: the active one, and the warm one that it replaced. Whoever calls does so in turn (`supervisor.ts`).
 */
import { relative } from 'node:path';
import { sleep, type Timer } from '../clock.ts';
import { PosternError } from '../errors.ts';
import type { Tell } from './control-server.ts';
import type { Fleet } from './fleet.ts';
import { verifyFront } from './front.ts';
import type { Instance } from './instance.ts';
import { instanceSocket, releaseFolder } from './layout.ts';
import { pointBeside, pointLink } from './links.ts';
import type { Manifest } from './manifest.ts';
import { probe } from './probe.ts';
import { EMPTY_STATE, readState, writeState, type Health, type State } from './state.ts';
import * as bounds from './supervisor-options.ts';
import type { SupervisorOptions } from './supervisor-options.ts';

export function createServing(options: SupervisorOptions, fleet: () => Fleet) {
  const { layout, front, clock, logger } = options;
  /** Found running: nobody else has their sockets. */
  const adopted = new WeakSet<Instance>();
  let state: State = EMPTY_STATE;
  let active: Instance | null = null;
  let warm: Instance | null = null;
  let soak: Timer | null = null;

  async function save(changes: Partial<State>): Promise<void> {
    const next = { ...state, ...changes };
    try {
      await writeState(layout.state, next);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code === 'ENOSPC' ? 'storage_full' : 'storage_failed';
      const message = `${layout.state} cannot be written (${(error as Error).message}); what serves was not touched.`;
      throw new PosternError(code, message, { cause: error });
    }
    state = next;
  }

  const judged = (release: string, health: Health, reason: string | null) => ({
    releases: {
      ...state.releases,
      [release]: { health, since_ms: clock.now(), reason: reason?.slice(0, 2_000) ?? null },
    },
  });

  async function launch(manifest: Manifest): Promise<Instance> {
    await untilRoom();
    const name = `${manifest.id.slice(0, 8)}-${state.next_instance}`;
    await save({ next_instance: state.next_instance + 1 });
    try {
      return await fleet().start(manifest, name);
    } catch (error) {
      const why = `${manifest.id} cannot be started: ${(error as Error).message}`;
      throw new PosternError('release_unhealthy', why, { cause: error });
    }
  }

  async function untilRoom(): Promise<void> {
    const until = clock.monotonic() + bounds.EMPTY_MS;
    while (fleet().all.length >= bounds.MAX_INSTANCES) {
      if (clock.monotonic() > until) {
        const message = `${fleet().all.length} earlier instances still have connections: try again in a minute`;
        throw new PosternError('overloaded', message);
      }
      await sleep(clock, bounds.READY_PAUSE_MS);
    }
  }

  /** Throws release_unhealthy with the end of its log, and leaves nothing of it running. */
  async function untilReady(instance: Instance, tell: Tell): Promise<void> {
    const until = clock.monotonic() + bounds.READY_MS;
    const socketPath = instanceSocket(layout, instance.name);
    let last = 'it said nothing';
    while (instance.exit === null && instance.phase !== 'failed' && clock.monotonic() < until) {
      // Its own word saves the first second; the answer to a real request is what counts.
      const spoke = await instance.until(
        ({ phase }) => phase === 'standby' || phase === 'failed',
        bounds.READY_PAUSE_MS,
      );
      if (!spoke || instance.phase !== 'standby') continue;
      const answer = await probe({ socketPath });
      if (answer.status === 200) return;
      last = answer.reason;
      tell('starting', `not ready yet: ${last}`);
      await sleep(clock, bounds.READY_PAUSE_MS);
    }
    await discard(instance);
    const { exit, report } = instance;
    const ending =
      report?.phase === 'failed'
        ? (report.message ?? 'it failed')
        : exit !== null && exit.signal !== 'SIGKILL'
          ? `it ended by itself (${exit.signal ?? `exit code ${exit.code}`})`
          : `it was not ready within ${bounds.READY_MS / 1_000} s (${last})`;
    const words = fleet().lastWords(instance);
    const log = words === '' ? '' : `\nIts last lines:\n${words}`;
    throw new PosternError('release_unhealthy', `${instance.release} did not become ready: ${ending}.${log}`);
  }

  /** Ends it at once: nobody reaches it. */
  async function discard(instance: Instance): Promise<void> {
    instance.isExpectedToEnd = true;
    instance.kill('SIGKILL');
    await instance.exited;
  }

  /** Lets it finish, and ends it; in the background, because idle connections take their time. */
  function retire(instance: Instance): void {
    if (instance.isExpectedToEnd) return;
    instance.isExpectedToEnd = true;
    if (warm === instance) warm = null;
    instance.send({ command: 'stop', deadline_ms: bounds.EMPTY_MS });
    const force = clock.after(bounds.EMPTY_MS + options.drainMs + 5_000, () => instance.kill('SIGKILL'));
    void instance.exited.then(() => force.cancel());
  }

  /** Makes a ready instance the one that serves. When it throws, the one before serves, and this one is on its way out. */
  async function bringForward(next: Instance, tell: Tell): Promise<void> {
    const before = active;
    try {
      tell('switching', `${next.name} begins to accept`);
      next.send({ command: 'listen' });
      if (!(await next.until(({ phase }) => phase === 'active', bounds.LISTEN_MS))) {
        const why = next.report?.message ?? fleet().lastWords(next);
        throw new PosternError('release_unhealthy', `${next.release} did not begin to accept: ${why}`);
      }
      await front.engage(next);
      tell('verifying', `asking ${front.url} who answers`);
      await verifyFront({ url: front.url, release: `${next.release}/${next.name}`, times: front.verifyTimes, clock });
      if (next.exit !== null)
        throw new PosternError('release_unhealthy', `${next.release} ended while it was verified.`);
      await pointBeside(layout.activeSocket, instanceSocket(layout, next.name));
      const previous = before !== null && before.release !== next.release ? before.release : state.previous;
      await save({
        current: next.release,
        previous: previous === next.release ? state.previous : previous,
        active: next.name,
        switch: null,
        ...judged(next.release, 'healthy', null),
      });
    } catch (thrown) {
      // Both accept still: taking the new one away is all there is to undo.
      if (before !== null && before.exit === null) {
        await pointBeside(layout.activeSocket, instanceSocket(layout, before.name));
        await front.engage(before);
      }
      retire(next);
      throw thrown;
    }
    active = next;
    if (warm === next) {
      warm = null;
      soak?.cancel();
    }
    await pointLink(layout.current, relative(layout.root, releaseFolder(layout, next.release))).catch(
      (error: unknown) => logger.error('the link to the release that serves cannot be replaced', { error }),
    );
  }

  /** It was replaced: it lets everything go over and stays warm. */
  function dismiss(before: Instance): void {
    // Nobody else has the sockets of one that was found running: they must not stay open when nobody accepts on them.
    const forGood = adopted.has(before) || options.soakMs === 0;
    before.send({ command: 'leave', deadline_ms: options.drainMs, for_good: forGood });
    if (warm !== null && warm !== before) retire(warm);
    soak?.cancel();
    if (forGood) {
      retire(before);
      return;
    }
    if (before.exit !== null) return;
    warm = before;
    soak = clock.after(options.soakMs, () => retire(before));
  }

  return {
    get state(): State {
      return state;
    },
    get active(): Instance | null {
      return active;
    },
    get warm(): Instance | null {
      return warm;
    },
    /** The warm one, if it can serve again at once. */
    get ready(): Instance | null {
      return warm?.exit === null && warm.phase === 'standby' && (warm.report?.listens_left ?? 0) > 0 ? warm : null;
    },
    async load(): Promise<void> {
      state = await readState(layout.state);
    },
    save,
    judged,
    launch,
    untilReady,
    retire,
    bringForward,
    dismiss,
    /** Of an instance that is gone. */
    forget(instance: Instance): void {
      if (warm === instance) warm = null;
    },
    /** Found running, and it serves: it goes on. */
    async keep(instance: Instance): Promise<void> {
      active = instance;
      await pointBeside(layout.activeSocket, instanceSocket(layout, instance.name));
      await front.engage(instance);
    },
    markFound: (instance: Instance) => adopted.add(instance),
    stopSoak: () => soak?.cancel(),
  };
}

export type Serving = ReturnType<typeof createServing>;
