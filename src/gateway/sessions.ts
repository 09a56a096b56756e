/**
 * Owner of the set of sessions: one per worker name at most. Decides whether a hello opens a session, resumes one, or
 * supersedes one, and refuses what is stale.
 *
 * A worker's record outlives its session, so that a resumed session is recognised and an old epoch is refused; a record
 * without a session is dropped after {@link REMEMBER_MS}, long after the leases of its attempts ran out.
 */
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import type { Hello } from '../protocol/messages.ts';
import type { Session } from './session.ts';

const REMEMBER_MS = 600_000;

interface Known {
  /** As the worker names it in its hello. */
  sessionName: string;
  epoch: number;
  ticket: string;
  session: Session;
}

export interface Sessions {
  /**
   * Ends what the hello supersedes, and says whether the session was known before. Throws superseded for a stale epoch,
   * overloaded when there are too many workers. The caller must call `open` in the same step.
   */
  prepare(worker: string, hello: Hello): { readonly resumed: boolean };
  open(worker: string, hello: Hello, ticket: string, session: Session): void;
  /** The live session that a data connection's hello belongs to, and its ticket; null: none with this name and epoch. */
  find(worker: string, hello: Hello): { readonly session: Session; readonly ticket: string } | null;
  /** Once per ping period. */
  tick(): void;
  live(): Session[];
}

export function createSessions(options: { readonly clock: Clock; readonly maxSessions: number }): Sessions {
  const byWorker = new Map<string, Known>();

  function forgetOld(): void {
    const before = options.clock.now() - REMEMBER_MS;
    for (const [worker, { session }] of byWorker) {
      if (session.ended && session.lastSeenAt < before) byWorker.delete(worker);
    }
  }

  return {
    prepare(worker, hello) {
      const known = byWorker.get(worker);
      if (!known) {
        if (byWorker.size >= options.maxSessions) forgetOld();
        if (byWorker.size < options.maxSessions) return { resumed: false };
        throw new PosternError('overloaded', `the gateway holds its limit of ${options.maxSessions} workers`);
      }
      const resumed = known.sessionName === hello.session;
      if (resumed && hello.epoch <= known.epoch) {
        const expected = `an epoch above ${known.epoch}`;
        throw new PosternError('superseded', `expected ${expected} for this session, got ${hello.epoch}`);
      }
      const reason = resumed ? 'the worker dialled again' : 'another process with the same certificate connected';
      known.session.close('superseded', reason);
      return { resumed };
    },
    open(worker, hello, ticket, session) {
      byWorker.set(worker, { sessionName: hello.session, epoch: hello.epoch, ticket, session });
    },
    find(worker, hello) {
      const known = byWorker.get(worker);
      if (!known || known.session.ended) return null;
      if (known.sessionName !== hello.session || known.epoch !== hello.epoch) return null;
      return { session: known.session, ticket: known.ticket };
    },
    tick() {
      for (const { session } of byWorker.values()) session.tick();
      forgetOld();
    },
    live: () => [...byWorker.values()].map(({ session }) => session).filter((session) => !session.ended),
  };
}
