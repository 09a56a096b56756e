/**
 * A pen for drawings of two printing plates: flat colours, and ink lines over them that do not quite meet the colours.
 * Shapes are paths in coordinates of their own, in which "up" is −y; `at` places them.
 */
export interface Flat {
  readonly d: string;
  readonly fill: string;
}

export interface Line {
  readonly d: string;
  readonly weight: number;
  /** Does it hide the lines that were drawn before it? Closed shapes do. */
  readonly covers: boolean;
}

export interface Style {
  /** Colour of the flat; none: only lines. */
  readonly fill?: string;
  /** Of the ink line; 0: only the flat. */
  readonly weight?: number;
}

export interface Pen {
  /** Random in [0, 1), the same in every drawing of this entry. */
  readonly random: () => number;
  /** Between two numbers, at random. */
  between(low: number, high: number): number;
  /** Draws `what` with its origin at x, y, turned clockwise by degrees and scaled. */
  at(x: number, y: number, degrees: number, scale: number, what: () => void): void;
  /** A path of absolute M, L, C, Q and Z. */
  path(d: string, style?: Style): void;
  circle(x: number, y: number, radius: number, style?: Style): void;
}

export interface Sheet {
  readonly flats: readonly Flat[];
  readonly lines: readonly Line[];
}

/** a b c d e f of an SVG matrix. */
type Matrix = readonly [number, number, number, number, number, number];

const WEIGHT = 1.7;

export function createPen(seed: string): { pen: Pen; sheet: Sheet } {
  const flats: Flat[] = [];
  const lines: Line[] = [];
  const random = createRandom(seed);
  let matrix: Matrix = [1, 0, 0, 1, 0, 0];

  const pen: Pen = {
    random,
    between: (low, high) => low + random() * (high - low),
    at(x, y, degrees, scale, what) {
      const before = matrix;
      const angle = (degrees * Math.PI) / 180;
      const cos = Math.cos(angle) * scale;
      const sin = Math.sin(angle) * scale;
      const [a, b, c, d, e, f] = before;
      matrix = [
        a * cos + c * sin,
        b * cos + d * sin,
        c * cos - a * sin,
        d * cos - b * sin,
        a * x + c * y + e,
        b * x + d * y + f,
      ];
      what();
      matrix = before;
    },
    path(d, { fill, weight = WEIGHT } = {}) {
      const placed = place(d, matrix);
      if (fill !== undefined) flats.push({ d: placed, fill });
      if (weight > 0) lines.push({ d: placed, weight, covers: placed.endsWith('Z') });
    },
    circle(x, y, radius, style) {
      const k = radius * 0.5523;
      const [l, r, u, o] = [x - radius, x + radius, y - radius, y + radius];
      pen.path(
        `M${x} ${u}C${x + k} ${u} ${r} ${y - k} ${r} ${y}C${r} ${y + k} ${x + k} ${o} ${x} ${o}` +
          `C${x - k} ${o} ${l} ${y + k} ${l} ${y}C${l} ${y - k} ${x - k} ${u} ${x} ${u}Z`,
        style,
      );
    },
  };
  return { pen, sheet: { flats, lines } };
}

/** The path with every pair of its numbers placed by the matrix. */
function place(d: string, [a, b, c, e, x, y]: Matrix): string {
  let placed = '';
  for (const [, command = '', rest = ''] of d.matchAll(/([MLCQZ])([^MLCQZ]*)/g)) {
    const numbers = (rest.match(/-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?/g) ?? []).map(Number);
    const pairs: string[] = [];
    for (let at = 0; at + 1 < numbers.length; at += 2) {
      const [px, py] = [numbers[at]!, numbers[at + 1]!];
      pairs.push(`${round(a * px + c * py + x)} ${round(b * px + e * py + y)}`);
    }
    placed += command + pairs.join(' ');
  }
  return placed;
}

const round = (value: number): number => Math.round(value * 10) / 10;

/** FNV-1a for the seed, mulberry32 for what follows: small, and the same everywhere. */
function createRandom(seed: string): () => number {
  let state = 0x811c9dc5;
  for (let at = 0; at < seed.length; at += 1) state = Math.imul(state ^ seed.charCodeAt(at), 0x01000193);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
