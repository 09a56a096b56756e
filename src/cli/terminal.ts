/** What the commands show people: colour where it is wanted, tables, a progress bar. */
import { stripVTControlCharacters, styleText } from 'node:util';
import { systemClock } from '../clock.ts';
import { noColour } from './env.ts';

type Colour = 'red' | 'green' | 'yellow' | 'dim' | 'bold' | 'cyan';

/** Colours only on a terminal that did not ask for none (NO_COLOR). */
export function paint(stream: { isTTY?: boolean }, colour: Colour, text: string): string {
  return stream.isTTY === true && !noColour() ? styleText(colour, text, { validateStream: false }) : text;
}

/** Names from files and the network must not move the cursor or turn the writing: such characters are shown as `?`. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replace(/\p{Cc}|[\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '?');
}

/** The same for a text of several lines, whose line breaks and tabs stay. */
export const printableLines = (text: string): string =>
  text
    .split(/(?<=[\n\t])|(?=[\n\t])/)
    .map(printableUnlessBreak)
    .join('');

const printableUnlessBreak = (text: string): string => (text === '\n' || text === '\t' ? text : printable(text));

/** Columns under a heading, padded by spaces, without trailing ones. Numbers (right: true) end at the same column. */
export function table(
  columns: readonly { readonly title: string; readonly right?: boolean }[],
  rows: readonly (readonly string[])[],
): string {
  const cells = [columns.map((column) => column.title), ...rows];
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => textWidth(row[i] ?? ''))));
  return cells
    .map((row) =>
      row
        .map((cell, i) => {
          const space = ' '.repeat(Math.max(0, (widths[i] ?? 0) - textWidth(cell)));
          return columns[i]?.right === true ? space + cell : cell + space;
        })
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** Terminal cells of a text: East Asian wide characters take two. */
export function textWidth(text: string): number {
  let cells = 0;
  for (const character of stripVTControlCharacters(text)) {
    const code = character.codePointAt(0) ?? 0;
    const wide =
      (code >= 0x1100 && code <= 0x115f) ||
      (code >= 0x2e80 && code <= 0xa4cf) ||
      (code >= 0xac00 && code <= 0xd7a3) ||
      (code >= 0xf900 && code <= 0xfaff) ||
      (code >= 0xfe30 && code <= 0xfe6f) ||
      (code >= 0xff00 && code <= 0xff60) ||
      (code >= 0x1f300 && code <= 0x1faff);
    cells += wide ? 2 : 1;
  }
  return cells;
}

export interface Progress {
  /** Counts so many more as done: one, if nothing is said. */
  step(count?: number): void;
  /** Removes the bar. Calling it twice is fine. */
  end(): void;
}

const BAR_CELLS = 30;
/** Redrawing more often than eyes see only costs. */
const REDRAW_MS = 80;

/** How numbers are shown: of things, or of bytes. */
export interface ProgressStyle {
  readonly amount: (count: number) => string;
  readonly rate: (perSecond: number) => string;
}

const COUNTED: ProgressStyle = { amount: String, rate: (perSecond) => `${perSecond.toFixed(1)}/s` };
export const IN_BYTES: ProgressStyle = { amount: bytesText, rate: (perSecond) => `${bytesText(perSecond)}/s` };

/** A bar on standard error, only when that is a terminal; what is on standard output stays clean for pipes. */
export function createProgress(
  total: number,
  what: string,
  stream: NodeJS.WriteStream = process.stderr,
  { amount, rate: rateText }: ProgressStyle = COUNTED,
): Progress {
  if (!stream.isTTY || total < 2) return { step: () => undefined, end: () => undefined };
  const startedAt = systemClock.monotonic();
  let done = 0;
  let drawnAt = -REDRAW_MS;
  let ended = false;
  const draw = (): void => {
    const elapsedS = (systemClock.monotonic() - startedAt) / 1000;
    const fraction = done / total;
    const filled = Math.round(fraction * BAR_CELLS);
    const bar = '█'.repeat(filled) + '░'.repeat(BAR_CELLS - filled);
    const rate = elapsedS > 0.5 ? `  ${rateText(done / elapsedS)}` : '';
    const left =
      done > 0 && elapsedS > 2 && done < total ? `  ${duration(((total - done) * elapsedS) / done)} left` : '';
    stream.write(`\r\u001b[2K${bar}  ${amount(done)}/${amount(total)} ${what}${rate}${left}`);
  };
  return {
    step(count = 1) {
      done += count;
      const now = systemClock.monotonic();
      if (ended || (now - drawnAt < REDRAW_MS && done < total)) return;
      drawnAt = now;
      draw();
    },
    end() {
      if (ended) return;
      ended = true;
      stream.write('\r\u001b[2K');
    },
  };
}

/** `812 B`, `3.4 MB`, `12 GB`: as disks and networks are sold, in powers of 1,000. */
export function bytesText(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value >= 99.5 || unit === 0 ? Math.round(value) : value.toPrecision(2)} ${UNITS[unit]}`;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** `7 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
