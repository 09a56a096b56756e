/**
 * How an engine ends: `drain`, when nobody comes after it on this machine, and `handOver`, when another gateway on the same store goes on.
 *
 * A hand-over goes: callers come here no more, but what they sent already still runs → what is not recorded is decided, because it
 * lives in this memory alone → the right to claim is yielded, and the workers go over with the recorded jobs that they hold →
 * callers who wait here are told of decisions that are made there. So a long job neither holds its worker here nor is begun again.
 */
import type { Clock } from '../clock.ts';
import type { Dispatcher } from '../dispatch/dispatcher.ts';
import { isUnrecorded } from '../dispatch/id.ts';
import type { Fence, JobId, SessionId } from '../dispatch/job.ts';
import type { Store } from '../store/store.ts';
import type { Turn } from './engine-turn.ts';
import type { GatewaySession } from './worker-ports.ts';

export interface LeavingOptions {
  readonly clock: Clock;
  readonly store: Pick<Store, 'durable' | 'stopClaiming'>;
  readonly dispatcher: Pick<Dispatcher, 'flight' | 'inFlightJobs' | 'session' | 'stopClaiming'>;
  readonly turn: Pick<Turn, 'busy'>;
  readonly undecided: ReadonlySet<JobId>;
  readonly sessions: ReadonlyMap<SessionId, GatewaySession>;
  /** HTTP requests that a session carries. */
  readonly openOn: (session: SessionId) => number;
  readonly handOver: (session: GatewaySession, reason: string) => void;
  /** Do other gateways on the store serve, to which workers are linked as well? */
  readonly hasOthers: () => boolean;
  /** An attempt that has put out parts needs its gateway: nobody else takes them. */
  readonly hasParts: (fence: Fence) => boolean;
  readonly giveUp: (id: JobId) => Promise<void>;
  readonly storeFailed: (step: string, error: unknown) => void;
}

/** How often a hand-over looks whether what must end here has ended. */
const LOOK_MS = 20;

export function createLeaving(options: LeavingOptions) {
  const { clock, store, dispatcher, turn, undecided, sessions } = options;
  /** Looked through whenever a job is decided or a turn is over. */
  const checks = new Set<() => void>();
  let phase: 'here' | 'leaving' | 'left' = 'here';
  let draining: Promise<void> | null = null;
  let handingOver: Promise<void> | null = null;

  function stopClaiming(): void {
    dispatcher.stopClaiming();
    store.stopClaiming().catch((error: unknown) => options.storeFailed('stopClaiming', error));
  }

  /** Resolves when `isDone`, or after `deadlineMs`. */
  function until(isDone: () => boolean, deadlineMs: number, alsoEveryMs: number | null): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        late.cancel();
        looking?.cancel();
        checks.delete(check);
        resolve();
      };
      const check = (): void => {
        if (isDone()) finish();
      };
      const late = clock.after(deadlineMs, finish);
      const looking = alsoEveryMs === null ? null : clock.every(alsoEveryMs, check);
      checks.add(check);
      check();
    });
  }

  function drain(deadlineMs: number): Promise<void> {
    draining ??= (() => {
      phase = 'left';
      // What waits in a durable store is the next gateway's; what waits in memory has only this one.
      if (store.durable) stopClaiming();
      // What is not recorded waits nowhere else: its callers are told now, and may ask another gateway.
      for (const id of undecided) if (isUnrecorded(id) && !dispatcher.flight(id)) void options.giveUp(id);
      const isDone = (): boolean =>
        dispatcher.inFlightJobs === 0 && !turn.busy && (store.durable || undecided.size === 0);
      return until(isDone, deadlineMs, null).then(leaveBehind);
    })();
    return draining;
  }

  /** What has not ended by now goes on all the same, where the worker can have other gateways keep it. The rest is given back. */
  function leaveBehind(): void {
    if (!options.hasOthers()) return;
    for (const session of [...sessions.values()]) {
      const flights = [...(dispatcher.session(session.id)?.flights ?? [])];
      const mayGoOn = flights.length > 0 && flights.every(({ fence }) => !options.hasParts(fence));
      if (session.keeps === true && mayGoOn) options.handOver(session, 'the gateway ends: what runs goes on');
    }
  }

  async function handOver(deadlineMs: number): Promise<void> {
    const endsAt = clock.monotonic() + deadlineMs;
    const leftMs = (): number => Math.max(0, endsAt - clock.monotonic());
    phase = 'leaving';
    const isUnrecordedLeft = (): boolean => {
      for (const id of undecided) if (isUnrecorded(id)) return true;
      return false;
    };
    // Half of the time, so that the workers have the rest of it.
    await until(() => !isUnrecordedLeft() && !turn.busy, deadlineMs / 2, LOOK_MS);
    phase = 'left';
    stopClaiming();
    for (const id of undecided) if (isUnrecorded(id) && !dispatcher.flight(id)) void options.giveUp(id);
    await until(() => !turn.busy, leftMs(), null);
    await Promise.all([...sessions.values()].map((session) => letGo(session, leftMs())));
  }

  /** With what is recorded a worker goes at once; what only this process can answer is answered first. */
  async function letGo(session: GatewaySession, deadlineMs: number): Promise<void> {
    const isBound = (): boolean =>
      options.openOn(session.id) > 0 ||
      [...(dispatcher.session(session.id)?.flights ?? [])].some(({ fence }) => isUnrecorded(fence.job));
    if (isBound()) await until(() => !isBound(), deadlineMs, LOOK_MS);
    options.handOver(session, 'another release of the gateway serves now');
  }

  return {
    /** Are jobs of this kind still taken? During a hand-over those whose callers sent them before it. */
    takes: (recorded: boolean): boolean => phase === 'here' || (draining === null && (recorded || phase === 'leaving')),
    /** May this process still give out the jobs of the store? */
    get claims(): boolean {
      return phase !== 'left';
    },
    /** A job was decided, or a turn is over. */
    changed(): void {
      for (const check of checks) check();
    },
    drain,
    handOver(deadlineMs: number): Promise<void> {
      handingOver ??= handOver(deadlineMs);
      return handingOver;
    },
  };
}
