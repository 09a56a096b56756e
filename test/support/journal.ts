/** What happened, in order, and a way to wait for it: tests wait for signals, never for time. */

export interface Journal<T> {
  readonly entries: readonly T[];
  add(entry: T): void;
  /** The first entry, past or future, that satisfies the condition. */
  find<S extends T>(condition: (entry: T) => entry is S): Promise<S>;
  find(condition: (entry: T) => boolean): Promise<T>;
  /** Resolves as soon as `look` gives something; looked at again after each entry. */
  until<R>(look: () => R | undefined | false): Promise<R>;
}

export function createJournal<T>(): Journal<T> {
  const entries: T[] = [];
  const checks = new Set<() => void>();

  function until<R>(look: () => R | undefined | false): Promise<R> {
    return new Promise((resolve) => {
      const check = (): void => {
        const found = look();
        if (found === undefined || found === false) return;
        checks.delete(check);
        resolve(found);
      };
      checks.add(check);
      check();
    });
  }

  return {
    entries,
    add(entry) {
      entries.push(entry);
      for (const check of [...checks]) check();
    },
    find: (condition: (entry: T) => boolean) => until(() => entries.find(condition)) as Promise<never>,
    until,
  };
}
