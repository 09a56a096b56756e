/** What will happen in virtual time, the earliest first; of one time, in the order in which it was planned. */

export interface PlannedEvent {
  readonly atMs: number;
  readonly order: number;
  /** null: called off. */
  fn: (() => void) | null;
}

export interface EventHeap {
  push(event: PlannedEvent): void;
  pop(): PlannedEvent | undefined;
  readonly first: PlannedEvent | undefined;
}

const before = (a: PlannedEvent, b: PlannedEvent): boolean =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

export function createEventHeap(): EventHeap {
  const heap: PlannedEvent[] = [];
  return {
    get first() {
      return heap[0];
    },
    push(event) {
      let index = heap.length;
      heap.push(event);
      while (index > 0) {
        const above = (index - 1) >>> 1;
        const other = heap[above]!;
        if (before(other, event)) break;
        heap[index] = other;
        heap[above] = event;
        index = above;
      }
    },
    pop() {
      const first = heap[0];
      const last = heap.pop();
      if (!first || !last || heap.length === 0) return first;
      let index = 0;
      for (;;) {
        let child = 2 * index + 1;
        if (child >= heap.length) break;
        if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
        if (!before(heap[child]!, last)) break;
        heap[index] = heap[child]!;
        index = child;
      }
      heap[index] = last;
      return first;
    },
  };
}
