/** The best score of each entry during one search: two columns that are used again by the next. */

export interface Hit {
  /** Index in the list that the search was made of. */
  readonly entry: number;
  /** Less is better: 0 exact, from 1 beginnings, from 2 typing errors. */
  readonly score: number;
}

export interface Scores {
  /** Keeps the better one. */
  note(entry: number, score: number): void;
  /** Hands out every entry with its score, and forgets them. */
  drain(heard: (entry: number, score: number) => void): void;
  /** The best `limit` behind `after`, in order; forgets all. */
  best(limit: number, after: Hit | null, accept?: (entry: number) => boolean): Hit[];
}

export function createScores(entries: number): Scores {
  const scores = new Float64Array(entries).fill(Infinity);
  const noted = new Int32Array(entries);
  let count = 0;

  function drain(heard: (entry: number, score: number) => void): void {
    for (let index = 0; index < count; index += 1) {
      const entry = noted[index]!;
      heard(entry, scores[entry]!);
      scores[entry] = Infinity;
    }
    count = 0;
  }

  return {
    note(entry, score) {
      const before = scores[entry]!;
      if (before === Infinity) noted[count++] = entry;
      if (score < before) scores[entry] = score;
    },
    drain,
    best(limit, after, accept) {
      /** Never longer than `limit`, in order: with pages of some tens, inserting is cheaper than sorting all. */
      const page: Hit[] = [];
      drain((entry, score) => {
        if (after !== null && before(score, entry, after)) return;
        const last = page[page.length - 1];
        if (page.length === limit && (last === undefined || !before(score, entry, last))) return;
        if (accept && !accept(entry)) return;
        let place = page.length;
        while (place > 0 && before(score, entry, page[place - 1]!)) place -= 1;
        page.splice(place, 0, { entry, score });
        if (page.length > limit) page.pop();
      });
      return page;
    },
  };
}

/** True where a hit stands before another, or is that other. */
const before = (score: number, entry: number, other: Hit): boolean =>
  score < other.score || (score === other.score && entry <= other.entry);
