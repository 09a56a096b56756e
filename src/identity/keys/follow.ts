/** Keeps a ring of keys as the control records have it, and writes back when keys were used. */
import type { Clock, Timer } from '../../clock.ts';
import { toPosternError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { createService, type Service } from '../../service.ts';
import type { Records } from '../records.ts';
import { loadKeys, noteKeyUse, prepareKeys } from './records.ts';
import type { KeyRing } from './ring.ts';

export interface FollowOptions {
  readonly records: Records;
  readonly keys: KeyRing;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** An ended key is noticed by its next request in any case; this is for what waits or streams. */
const EXPIRY_MS = 500;
/** `last used` is for people who clean up: a flush a minute at most, however many requests there are. */
const USE_MS = 60_000;

export function followKeys({ records, keys, clock, logger }: FollowOptions): Service {
  const timers: Timer[] = [];
  let unfollow = (): void => undefined;

  function noteUse(): void {
    try {
      noteKeyUse(records, keys.takeUsed(), clock.now());
    } catch (error) {
      logger.warn('the use of keys was not noted', { error: toPosternError(error).message });
    }
  }

  return createService({
    start() {
      prepareKeys(records);
      const refresh = (): void => keys.refresh(loadKeys(records.db));
      refresh();
      unfollow = records.onChange(refresh);
      timers.push(
        clock.every(EXPIRY_MS, () => keys.expire()),
        clock.every(USE_MS, noteUse),
      );
      return Promise.resolve();
    },
    stop() {
      unfollow();
      for (const timer of timers) timer.cancel();
      noteUse();
      return Promise.resolve();
    },
  });
}
