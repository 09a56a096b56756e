/** Who may call a running gateway: its keys and the logins of its console, as the control records have them. */
import type { Clock, Timer } from '../clock.ts';
import { toPosternError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { createService, type Service } from '../service.ts';
import { ADMIN_SESSIONS, createAdminSessions, type AdminSessions } from './admin-sessions.ts';
import { loadKeys, noteKeyUse, prepareKeys } from './keys/records.ts';
import { createKeyRing, type KeyRing } from './keys/ring.ts';
import type { Records } from './records.ts';

export interface Callers extends Service {
  readonly keys: KeyRing;
  readonly sessions: AdminSessions;
  readonly records: Records;
}

export interface CallersOptions {
  readonly records: Records;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** An ended key is refused at its next request in any case; this is for what waits or streams. */
const EXPIRY_MS = 500;
/** When somebody was last seen is for people: a flush a minute at most, however many requests there are. */
const USE_MS = 60_000;

export function createCallers({ records, clock, logger }: CallersOptions): Callers {
  prepareKeys(records);
  records.prepare(ADMIN_SESSIONS);
  const keys = createKeyRing(clock, () => records.notice());
  const sessions = createAdminSessions(records, keys, clock);
  const timers: Timer[] = [];
  let unfollow = (): void => undefined;

  const refresh = (): void => {
    keys.refresh(loadKeys(records.db));
    // After the keys: a session whose key has ended is none.
    sessions.refresh();
  };

  /** The disk may be full; calls go on. */
  function attempt(message: string, step: () => void): void {
    try {
      step();
    } catch (error) {
      logger.warn(message, { error: toPosternError(error).message });
    }
  }

  const noteUse = (): void =>
    attempt('the use of keys was not noted', () => {
      noteKeyUse(records, keys.takeUsed(), clock.now());
      sessions.noteSeen();
    });

  const service = createService({
    start() {
      refresh();
      unfollow = records.onChange(refresh);
      timers.push(
        clock.every(EXPIRY_MS, () => {
          keys.expire();
          attempt('ended logins were not removed', () => sessions.expire());
        }),
        clock.every(USE_MS, noteUse),
      );
      return Promise.resolve();
    },
    stop() {
      for (const timer of timers) timer.cancel();
      noteUse();
      unfollow();
      return Promise.resolve();
    },
  });
  return { ...service, keys, sessions, records };
}
