/** Bytes of request bodies that this process holds at once, from their arrival to their answer. Owner of that number. */
import { PosternError } from '../../errors.ts';

/** One request's share. */
export interface Share {
  /** Throws `overloaded` when the budget has no room; what was taken before stays taken until `release`. */
  take(bytes: number): void;
  readonly takenBytes: number;
  /** Gives everything back. Twice is fine. */
  release(): void;
}

export interface BodyBudget {
  readonly usedBytes: number;
  readonly limitBytes: number;
  open(): Share;
}

/** A body takes seconds to send, so a second is the shortest time after which there may be room again. */
const RETRY_AFTER_S = 1;

/** `onTaken` is told of all bytes that are taken. */
export function createBodyBudget(limitBytes: number, onTaken?: (bytes: number) => void): BodyBudget {
  let usedBytes = 0;

  class BudgetShare implements Share {
    takenBytes = 0;

    take(bytes: number): void {
      if (usedBytes + bytes > limitBytes) {
        const message = 'The bodies that are in flight fill the memory set aside for them. Try again shortly.';
        throw new PosternError('overloaded', message, { retryAfterS: RETRY_AFTER_S });
      }
      usedBytes += bytes;
      this.takenBytes += bytes;
      onTaken?.(bytes);
    }

    release(): void {
      usedBytes -= this.takenBytes;
      this.takenBytes = 0;
    }
  }

  return {
    limitBytes,
    get usedBytes() {
      return usedBytes;
    },
    open: () => new BudgetShare(),
  };
}
