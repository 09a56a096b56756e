/** Many flowers along one stem, or in a bunch at its end. They fill the sheet from about 20 to 150. */
import type { Draw } from './look.ts';
import type { Pen } from './pen.ts';
import { petal, ring, stamens } from './petals.ts';
import { bell } from './sideways.ts';

interface Along {
  readonly rows: number;
  readonly from: number;
  readonly to: number;
  /** Draws one floret; `size` falls from 1 to about a half towards the top. */
  readonly floret: (side: -1 | 1, size: number) => void;
  readonly spread?: number;
}

function along(pen: Pen, { rows, from, to, floret, spread = 6 }: Along): void {
  for (let row = rows - 1; row >= 0; row -= 1) {
    const part = row / (rows - 1);
    const y = from + (to - from) * part;
    const size = 1 - part * 0.55;
    for (const side of [-1, 1] as const) {
      pen.at(100 + side * spread * size, y + (side > 0 ? 5 : 0), 0, 1, () => floret(side, size));
    }
  }
}

export const SPIKES: Readonly<Record<string, Draw>> = {
  /** Large bells, drooping left and right. */
  bells(pen, { colour, second, count }) {
    along(pen, {
      rows: count ?? 5,
      from: 140,
      to: 30,
      floret: (side, size) =>
        pen.at(0, 0, side * -46, size, () => {
          bell(pen, 40, 15, colour);
          pen.path('M-4 24L-4 24.1M3 28L3 28.1M0 20L0 20.1', { weight: 2.4 });
          pen.circle(0, 1, 3, { fill: second, weight: 1 });
        }),
    });
  },
  /** Small bells along one side of a stem that bows. */
  nodding(pen, { colour, count }) {
    const n = count ?? 7;
    pen.path('M100 232C98 150 96 90 118 52C126 40 138 36 148 40', { weight: 2 });
    for (let at = 0; at < n; at += 1) {
      const t = at / (n - 1);
      const [x, y] = [102 + 44 * t * t, 138 - 98 * Math.sin(t * 1.6)];
      pen.path(`M${x} ${y}Q${x + 12} ${y - 6} ${x + 15} ${y + 4}`, { weight: 1.2 });
      pen.at(x + 15, y + 4, -8, (n > 4 ? 1 : 1.9) * (1 - t * 0.4), () => bell(pen, 24, 13, colour));
    }
  },
  /** Beads close together: grape hyacinth. */
  beads(pen, { colour, second }) {
    for (let row = 10; row >= 0; row -= 1) {
      const wide = row > 7 ? 11 - row : 4;
      for (let at = 0; at < wide; at += 1) {
        const x = 100 + (at - (wide - 1) / 2) * (row > 7 ? 9 : 13) + (row % 2) * 3;
        pen.circle(x, 140 - row * 10.5, row > 7 ? 5 : 7.5, { fill: row > 7 ? second : colour, weight: 1.4 });
      }
    }
  },
  /** Mouths of two lips, one row above the other. */
  lips(pen, { colour, second, count }) {
    along(pen, {
      rows: count ?? 6,
      from: 142,
      to: 30,
      spread: 2,
      floret: (side, size) =>
        pen.at(0, 0, side * 58, size, () => {
          petal(pen, { length: 38, width: 19, tip: 'notch', fill: colour });
          pen.at(side * 3, -6, side * 34, 1, () => petal(pen, { length: 26, width: 15, fill: second }));
        }),
    });
  },
  /** Hoods: monkshood. */
  hoods(pen, { colour, second, count }) {
    along(pen, {
      rows: count ?? 5,
      from: 140,
      to: 30,
      spread: 10,
      floret: (side, size) =>
        pen.at(side * 8, 0, side * 24, size, () => {
          pen.path('M-12 12C-20 -6 -14 -28 2 -28C18 -28 20 -8 14 12C6 4 -4 4 -12 12Z', { fill: colour });
          pen.path('M-12 12C-4 4 6 4 14 12C8 22 -6 22 -12 12Z', { fill: second });
        }),
    });
  },
  /** Open funnels along a tall stem: gladiolus. */
  funnels(pen, { colour, second, count }) {
    along(pen, {
      rows: count ?? 4,
      from: 136,
      to: 34,
      spread: 10,
      floret: (side, size) =>
        pen.at(side * 12, 0, side * 34, size, () => {
          ring(pen, { count: 5, length: 30, width: 17, tip: 'point', fill: colour });
          ring(pen, { count: 5, length: 12, width: 5, tip: 'point', fill: second });
          stamens(pen, 3, 11, second);
        }),
    });
  },
  /** A dome of small flowers with five petals. */
  cluster(pen, { colour, second, count }) {
    const places: (readonly [number, number])[] = [
      [62, 92],
      [138, 92],
      [82, 108],
      [118, 108],
      [100, 112],
      [58, 70],
      [142, 70],
      [100, 88],
      [78, 82],
      [122, 82],
      [74, 52],
      [126, 52],
      [100, 44],
      [100, 66],
    ];
    for (const [x, y] of places) {
      pen.at(x, y, pen.between(0, 60), 1, () => {
        ring(pen, { count: count ?? 5, from: 1, length: 19, width: 11, tip: 'notch', fill: colour });
        pen.circle(0, 0, 3.4, { fill: second, weight: 1.2 });
      });
    }
  },
  /** Trumpets that hang from one point. */
  trumpets(pen, { colour, second, count }) {
    const n = count ?? 4;
    pen.path('M100 232C96 170 92 110 100 50', { weight: 2.2 });
    const order = Array.from({ length: n }, (_, at) => at - (n - 1) / 2).sort((a, b) => Math.abs(b) - Math.abs(a));
    for (const at of order) {
      pen.at(100, 48, at * (n > 3 ? 40 : 64), n > 3 ? 0.92 : 1.12, () => {
        pen.path('M-3 12C-4 34 -7 48 -20 66Q-10 64 -7 74Q0 66 7 74Q10 64 20 66C7 48 4 34 3 12Z', { fill: colour });
        pen.path('M0 26L0 58M-3 30L-7 52M3 30L7 52', { weight: 0.9 });
        pen.path('M0 0C-8 4 -7 16 -4 22Q0 25 4 22C7 16 8 4 0 0Z', { fill: second });
      });
    }
  },
  /** Flowers on long thin stalks: gaura, orchids on their branch. */
  spray(pen, { colour, second, count }) {
    pen.path('M100 232C94 160 84 90 128 30', { weight: 1.8 });
    const places = [
      [92, 150, -1],
      [94, 122, 1],
      [96, 100, -1],
      [103, 76, 1],
      [112, 54, -1],
      [126, 32, 1],
    ] as const;
    for (const [x, y, side] of places) {
      const [ex, ey] = [x + side * 26, y - 8];
      pen.path(`M${x} ${y}Q${x + side * 14} ${y - 10} ${ex} ${ey}`, { weight: 1.2 });
      pen.at(ex, ey, side * 14, 0.48, () => {
        ring(pen, { count: count ?? 4, from: 2, length: 40, width: 20, fill: colour });
        stamens(pen, 5, 30, second);
      });
    }
  },
};
