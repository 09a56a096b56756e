/** What each entry costs when every word of a query is looked up alone: columns that are used again by the next search. */
import { createScores, type Scores } from './scores.ts';

/** A tenth of what the other words cost is added to the worst: otherwise one word typed well would hide another's slip. */
const OTHERS = 0.1;

export interface WordScores {
  /**
   * Looks every word up and hands out the entries that at least half of them fit.
   * @param strays what a word costs that fits nothing of an entry
   */
  total<W>(
    words: readonly W[],
    strays: readonly number[],
    lookUp: (word: W, scores: Scores) => void,
    heard: (entry: number, score: number) => void,
  ): void;
}

export function createWordScores(entries: number): WordScores {
  const ofWord = createScores(entries);
  const worst = new Float64Array(entries);
  /** Saved beside all words being stray. */
  const saved = new Float64Array(entries);
  const fitting = new Uint8Array(entries);
  const touched = new Int32Array(entries);

  return {
    total(words, strays, lookUp, heard) {
      let count = 0;
      words.forEach((word, index) => {
        lookUp(word, ofWord);
        ofWord.drain((entry, score) => {
          if (fitting[entry] === 0) touched[count++] = entry;
          fitting[entry]! += 1;
          saved[entry]! += strays[index]! - score;
          if (score > worst[entry]!) worst[entry] = score;
        });
      });
      const allStray = strays.reduce((sum, stray) => sum + stray, 0);
      const dearest = Math.max(...strays);
      for (let index = 0; index < count; index += 1) {
        const entry = touched[index]!;
        if (fitting[entry]! * 2 >= words.length) {
          const decisive = fitting[entry] === words.length ? worst[entry]! : Math.max(worst[entry]!, dearest);
          heard(entry, decisive + OTHERS * (allStray - saved[entry]! - decisive));
        }
        worst[entry] = saved[entry] = fitting[entry] = 0;
      }
    },
  };
}
