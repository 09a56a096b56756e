/**
 * The earliest expiry first: a binary heap whose entries know their place, so that one can be taken out from the middle in
 * O(log n). Jobs leave it as soon as they are decided: leaving them in until their day is over would keep a day of traffic.
 */

/** What the heap keeps on its entries. */
export interface Expiring {
  expiresAt: number;
  /** −1: not in the heap. Written by the heap alone. */
  heapIndex: number;
}

export interface ExpiryHeap<T extends Expiring> {
  readonly size: number;
  /** Puts an entry in, or to its right place after `expiresAt` changed. */
  put(entry: T): void;
  /** Fine when it is not in. */
  remove(entry: T): void;
  first(): T | undefined;
}

export function createExpiryHeap<T extends Expiring>(): ExpiryHeap<T> {
  const heap: T[] = [];

  function place(entry: T, index: number): void {
    heap[index] = entry;
    entry.heapIndex = index;
  }

  function up(entry: T, from: number): void {
    let index = from;
    while (index > 0) {
      const above = (index - 1) >>> 1;
      const other = heap[above]!;
      if (other.expiresAt <= entry.expiresAt) break;
      place(other, index);
      index = above;
    }
    place(entry, index);
  }

  function down(entry: T, from: number): void {
    let index = from;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.expiresAt < heap[child]!.expiresAt) child += 1;
      const other = heap[child]!;
      if (other.expiresAt >= entry.expiresAt) break;
      place(other, index);
      index = child;
    }
    place(entry, index);
  }

  function settle(entry: T, index: number): void {
    const above = heap[(index - 1) >>> 1];
    if (index > 0 && above !== undefined && above.expiresAt > entry.expiresAt) up(entry, index);
    else down(entry, index);
  }

  return {
    get size() {
      return heap.length;
    },
    put(entry) {
      if (entry.heapIndex >= 0) {
        settle(entry, entry.heapIndex);
        return;
      }
      heap.push(entry);
      up(entry, heap.length - 1);
    },
    remove(entry) {
      const index = entry.heapIndex;
      if (index < 0) return;
      entry.heapIndex = -1;
      const last = heap.pop()!;
      if (last !== entry) settle(last, index);
    },
    first: () => heap[0],
  };
}
