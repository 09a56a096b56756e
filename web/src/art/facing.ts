/** Flowers that look at you: around the origin, about 48 in radius. */
import type { Draw } from './look.ts';
import type { Pen } from './pen.ts';
import { dots, petal, ring, stamens } from './petals.ts';

const disc = (pen: Pen, radius: number, fill: string): void => {
  pen.circle(0, 0, radius, { fill });
  dots(pen, Math.round(radius * 1.4), radius * 0.8);
};

export const FACING: Readonly<Record<string, Draw>> = {
  daisy(pen, { colour, second, count }) {
    const n = count ?? 18;
    ring(pen, { count: n, from: 10, length: 40, width: Math.min(12, 110 / n), fill: colour });
    disc(pen, 15, second);
  },
  sunflower(pen, { colour, second }) {
    ring(pen, { count: 18, from: 18, length: 36, width: 9, tip: 'point', fill: colour });
    ring(pen, { count: 18, from: 18, length: 28, width: 9, tip: 'point', fill: colour, turn: 10 });
    disc(pen, 25, second);
  },
  /** Filled flowers: ring upon ring. */
  double(pen, { colour, second, count }) {
    const n = count ?? 14;
    for (const [index, length] of [48, 40, 32, 24, 15].entries()) {
      const fill = index > 2 ? second : colour;
      ring(pen, { count: Math.max(6, n - index * 2), length, width: 480 / n / (index + 3), fill, turn: index * 13 });
    }
  },
  carnation(pen, { colour, second }) {
    for (const [index, length] of [47, 38, 28, 18].entries()) {
      ring(pen, {
        count: 8 - index,
        length,
        width: length * 0.42,
        tip: 'fringe',
        fill: index % 2 ? second : colour,
        turn: index * 21,
      });
    }
  },
  /** A few broad petals round a small middle: most of what people call a flower. */
  open(pen, { colour, second, count }) {
    const n = count ?? 5;
    ring(pen, { count: n, from: 3, length: 44, width: 150 / n, fill: colour, vein: true });
    stamens(pen, 7, 11, second, 20);
    pen.circle(0, 0, 5, { fill: second });
  },
  notched(pen, { colour, second, count }) {
    const n = count ?? 5;
    ring(pen, { count: n, from: 3, length: 45, width: 120 / n, tip: 'notch', fill: colour });
    ring(pen, { count: n, from: 2, length: 17, width: 44 / n, tip: 'point', fill: second });
    pen.circle(0, 0, 4, { fill: second });
  },
  star(pen, { colour, second, count }) {
    const n = count ?? 5;
    ring(pen, { count: n, from: 2, length: 47, width: 95 / n, tip: 'point', fill: colour, vein: true });
    stamens(pen, n, 13, second, 180 / n);
    pen.circle(0, 0, 5, { fill: second });
  },
  /** Six parts, three above three, and long stamens. */
  lily(pen, { colour, second }) {
    ring(pen, { count: 3, length: 50, width: 15, tip: 'point', fill: colour, vein: true, turn: 60 });
    ring(pen, { count: 3, length: 50, width: 20, tip: 'point', fill: colour, vein: true });
    for (let spot = 0; spot < 14; spot += 1) {
      pen.at(0, 0, spot * 51, 1, () =>
        pen.path(`M0 ${-14 - (spot % 3) * 5}L0.1 ${-14 - (spot % 3) * 5}`, { weight: 2.4 }),
      );
    }
    stamens(pen, 6, 29, second, 30);
  },
  /** Four crumpled petals, dark in the middle. */
  poppy(pen, { colour, second, count }) {
    const n = count ?? 4;
    ring(pen, { count: n, from: -4, length: 52, width: 38, tip: 'notch', fill: colour, turn: 45 });
    stamens(pen, 16, 15, second);
    pen.circle(0, 0, 8, { fill: second });
    pen.path('M-5 0L5 0M0 -5L0 5M-3.5 -3.5L3.5 3.5M-3.5 3.5L3.5 -3.5', { weight: 1 });
  },
  daffodil(pen, { colour, second }) {
    ring(pen, { count: 6, from: 6, length: 42, width: 17, tip: 'point', fill: colour, vein: true });
    ring(pen, { count: 12, length: 20, width: 7, tip: 'notch', fill: second });
    pen.circle(0, 0, 10, { fill: second });
    stamens(pen, 5, 5, second);
  },
  /** A round funnel seen from above. */
  funnel(pen, { colour, second, count }) {
    const n = count ?? 5;
    ring(pen, { count: n, from: -6, length: 52, width: 180 / n, tip: 'notch', fill: colour });
    ring(pen, { count: n, length: 38, width: 5, tip: 'point', fill: second });
    pen.circle(0, 0, 7, { fill: second });
  },
  rose(pen, { colour, second }) {
    ring(pen, { count: 5, from: -2, length: 50, width: 34, fill: colour });
    ring(pen, { count: 5, from: -4, length: 39, width: 28, fill: colour, turn: 36 });
    ring(pen, { count: 4, from: -4, length: 28, width: 20, fill: second, turn: 10 });
    pen.circle(0, 0, 12, { fill: second });
    pen.path('M-7 2C-8 -7 6 -9 7 -1C8 6 -3 7 -3 1C-3 -3 3 -3 3 0', { weight: 1.3 });
  },
  passion(pen, { colour, second }) {
    ring(pen, { count: 10, from: 6, length: 42, width: 10, fill: colour });
    for (let at = 0; at < 40; at += 1) pen.at(0, 0, at * 9, 1, () => pen.path('M0 -12L0 -30', { weight: 1.2 }));
    ring(pen, { count: 20, from: 8, length: 16, width: 2.6, fill: second });
    stamens(pen, 5, 13, '#d6c35a');
    pen.circle(0, 0, 6, { fill: '#d6c35a' });
  },
  columbine(pen, { colour, second }) {
    ring(pen, { count: 5, length: 48, width: 15, tip: 'point', fill: colour });
    ring(pen, { count: 5, length: 31, width: 14, fill: second, turn: 36 });
    stamens(pen, 10, 11, '#e8c34a');
  },
  pansy(pen, { colour, second }) {
    for (const angle of [-28, 28]) pen.at(0, -4, angle, 1, () => petal(pen, { length: 45, width: 30, fill: colour }));
    for (const angle of [-96, 96])
      pen.at(0, 0, angle, 1, () => petal(pen, { length: 42, width: 26, fill: second, vein: true }));
    pen.at(0, 2, 180, 1, () => petal(pen, { length: 44, width: 36, tip: 'notch', fill: second }));
    for (const angle of [-24, -12, 0, 12, 24])
      pen.at(0, 4, 180 + angle, 1, () => pen.path('M0 -5L0 -21', { weight: 1.1 }));
    pen.circle(0, 2, 4.5, { fill: '#e8b423' });
  },
  orchid(pen, { colour, second }) {
    for (const angle of [0, 128, 232])
      pen.at(0, 0, angle, 1, () => petal(pen, { length: 46, width: 15, fill: colour, vein: true }));
    for (const angle of [-66, 66])
      pen.at(0, 0, angle, 1, () => petal(pen, { length: 47, width: 34, fill: colour, vein: true }));
    pen.path('M0 -4C14 0 20 14 12 26C8 34 4 32 0 26C-4 32 -8 34 -12 26C-20 14 -14 0 0 -4Z', { fill: second });
    pen.path('M-5 8L-5 18M0 6L0 20M5 8L5 18', { weight: 1 });
    pen.circle(0, -2, 5, { fill: '#f0d98a' });
  },
  /** Two sepals, two petals, and a pouch. */
  slipper(pen, { colour, second }) {
    pen.at(0, 0, 0, 1, () => petal(pen, { length: 44, width: 18, fill: colour, vein: true }));
    for (const angle of [-88, 88])
      pen.at(0, 0, angle, 1, () => petal(pen, { length: 44, width: 17, fill: colour, vein: true }));
    pen.path('M-13 -2C-26 14 -24 44 0 48C24 44 26 14 13 -2C8 6 -8 6 -13 -2Z', { fill: second });
    pen.path('M-8 12C-10 24 -6 36 0 40M8 12C10 24 6 36 0 40', { weight: 1 });
    pen.circle(0, -3, 6, { fill: '#e8d26a' });
  },
  /** A cushion of small flowers with larger ones around it. */
  cushion(pen, { colour, second }) {
    ring(pen, { count: 14, from: 16, length: 31, width: 12, tip: 'notch', fill: colour });
    ring(pen, { count: 12, from: 8, length: 22, width: 8, tip: 'notch', fill: colour, turn: 9 });
    disc(pen, 17, second);
  },
  /** Bracts like a collar, stamens above them. */
  collar(pen, { colour, second, count }) {
    ring(pen, { count: count ?? 14, from: 8, length: 40, width: 9, tip: 'point', fill: colour, vein: true });
    stamens(pen, 15, 20, second);
    stamens(pen, 9, 11, second, 14);
  },
  /** Ragged leaves behind, petals before: poinsettia, bougainvillea. */
  bracts(pen, { colour, second, count }) {
    const n = count ?? 8;
    ring(pen, { count: n, length: 50, width: 130 / n, tip: 'point', fill: colour, vein: true });
    ring(pen, {
      count: Math.max(3, n - 3),
      length: 33,
      width: 100 / n,
      tip: 'point',
      fill: colour,
      turn: 22,
      vein: true,
    });
    for (const [x, y] of [
      [0, -4],
      [5, 3],
      [-5, 3],
    ] as const)
      pen.circle(x, y, 4, { fill: second, weight: 1.3 });
  },
  gloriosa(pen, { colour, second }) {
    ring(pen, { count: 6, length: 50, width: 9, tip: 'point', fill: colour });
    ring(pen, { count: 6, length: 24, width: 7, tip: 'point', fill: second });
    stamens(pen, 6, 44, second, 30);
  },
};
