/**
 * A limit on the bytes of incomplete payloads held by everything that shares it (all connections of a process).
 *
 * What a peer may send was promised as a window before, so the budget can be passed; what it stops is new promises:
 * while it is full, no window is reopened, except for one connection at a time, the holder, and there only for its
 * oldest stream. So some payload always completes, gives its bytes back, and nothing deadlocks. A holder that makes no
 * progress loses its turn to the next. The most that can be held: the limit, the stream windows that were open when it
 * was reached, and one payload beyond.
 */
export interface ByteBudget {
  readonly limitBytes: number;
  readonly usedBytes: number;
  readonly full: boolean;
  take(bytes: number): void;
  release(bytes: number): void;
  /** `waiter` has windows to reopen: it is told when it may. Waiting twice is waiting once. */
  wait(waiter: BudgetWaiter): void;
  /** Is it this waiter's turn although the budget is full? */
  holds(waiter: BudgetWaiter): boolean;
  /** Ends the waiter's turn, if it has it, and puts it out of the queue. */
  leave(waiter: BudgetWaiter): void;
}

export interface BudgetWaiter {
  /** There is room again, or it is this waiter's turn (see {@link ByteBudget.holds}): reopen what may be reopened. */
  onRoom(): void;
}

/** Half a gigabyte: eight payloads of the largest size, or 2,600 photos of 200 KB, on their way at once. */
export const DEFAULT_BUDGET_BYTES = 512 * 1024 * 1024;

/** `onTaken` is told of all bytes that are taken. */
export function createByteBudget(
  limitBytes: number = DEFAULT_BUDGET_BYTES,
  onTaken?: (bytes: number) => void,
): ByteBudget {
  let usedBytes = 0;
  let holder: BudgetWaiter | null = null;
  const waiting = new Set<BudgetWaiter>();

  const next = (): void => {
    if (usedBytes < limitBytes) {
      // A waiter may wait again at once; those come in the next round, so the loop ends.
      const all = holder === null ? [...waiting] : [holder, ...waiting];
      holder = null;
      waiting.clear();
      for (const waiter of all) waiter.onRoom();
    } else if (holder === null) {
      const [first] = waiting;
      if (first === undefined) return;
      waiting.delete(first);
      holder = first;
      first.onRoom();
    }
  };

  return {
    limitBytes,
    get usedBytes() {
      return usedBytes;
    },
    get full() {
      return usedBytes >= limitBytes;
    },
    take(bytes) {
      usedBytes += bytes;
      onTaken?.(bytes);
    },
    release(bytes) {
      usedBytes -= bytes;
      if (waiting.size > 0 || holder !== null) next();
    },
    wait(waiter) {
      if (holder === waiter) return;
      waiting.add(waiter);
      next();
    },
    holds: (waiter) => holder === waiter,
    leave(waiter) {
      waiting.delete(waiter);
      if (holder !== waiter) return;
      holder = null;
      next();
    },
  };
}
