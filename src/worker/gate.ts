/** At most so many at once; the others wait in order. Bounds the photos that are decoded at the same time, over all models. */
export interface Gate {
  /** Runs `task` now or when a place is free. `task` calls `leave` exactly once. */
  enter(task: (leave: () => void) => void): void;
}

export function createGate(places: number): Gate {
  let free = places;
  // Bounded by the credits granted over all models.
  const waiting: ((leave: () => void) => void)[] = [];

  function leave(): void {
    const next = waiting.shift();
    if (next) next(leave);
    else free++;
  }

  return {
    enter(task) {
      if (free === 0) {
        waiting.push(task);
        return;
      }
      free--;
      task(leave);
    },
  };
}
