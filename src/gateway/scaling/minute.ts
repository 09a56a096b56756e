/** Means of the last minute, from one sample a second: what was at workers, and what they ended in the same time. */

const SAMPLES = 60;

export interface Minute {
  /** Rows at workers now, and rows ended since the last sample, `seconds` ago. */
  add(busyRows: number, endedRows: number, seconds: number): void;
  readonly busyRows: number;
  readonly rowsPerS: number;
  /** There was nothing in all of it. */
  readonly isIdle: boolean;
}

export function createMinute(): Minute {
  const busy = new Float64Array(SAMPLES);
  const ended = new Float64Array(SAMPLES);
  const spans = new Float64Array(SAMPLES);
  let count = 0;
  const sum = (of: Float64Array): number => of.reduce((total, one) => total + one, 0);
  return {
    add(busyRows, endedRows, seconds) {
      const at = count % SAMPLES;
      busy[at] = busyRows * seconds;
      ended[at] = endedRows;
      spans[at] = seconds;
      count += 1;
    },
    get busyRows() {
      return sum(busy) / Math.max(1e-3, sum(spans));
    },
    get rowsPerS() {
      return sum(ended) / Math.max(1e-3, sum(spans));
    },
    get isIdle() {
      return sum(busy) + sum(ended) === 0;
    },
  };
}
