/** Flowers seen from the side: they stand on the origin, or hang from it, about 70 high. */
import { GREEN } from './leaves.ts';
import type { Draw } from './look.ts';
import type { Pen } from './pen.ts';
import { petal, ring } from './petals.ts';

/** Petals that rise from one point, those at the sides first. */
function fan(
  pen: Pen,
  angles: readonly number[],
  length: number,
  width: number,
  fill: string,
  tip: 'round' | 'point' = 'point',
): void {
  for (const angle of angles) pen.at(0, 0, angle, 1, () => petal(pen, { length, width, fill, tip, vein: true }));
}

/** A bell that hangs from the origin. */
export function bell(pen: Pen, length: number, width: number, fill: string): void {
  const [l, w] = [length, width];
  pen.path(
    `M0 0C${w * 0.7} 0 ${w * 0.7} ${l * 0.5} ${w} ${l}Q${w * 0.55} ${l * 0.88} ${w * 0.33} ${l * 1.06}Q0 ${l * 0.9} ${-w * 0.33} ${l * 1.06}` +
      `Q${-w * 0.55} ${l * 0.88} ${-w} ${l}C${-w * 0.7} ${l * 0.5} ${-w * 0.7} 0 0 0Z`,
    { fill },
  );
  pen.path(`M0 ${l * 0.2}L0 ${l * 0.8}`, { weight: 0.9 });
}

export const SIDEWAYS: Readonly<Record<string, Draw>> = {
  tulip(pen, { colour, second }) {
    fan(pen, [-20, 20], 66, 26, colour);
    fan(pen, [0], 66, 22, second);
    fan(pen, [-11, 11], 60, 25, colour, 'round');
  },
  /** A cup of many petals: magnolia, lotus, water lily. */
  cup(pen, { colour, second, count }) {
    const spread = count ?? 7;
    const angles = Array.from({ length: spread }, (_, at) => (at - (spread - 1) / 2) * (150 / spread));
    const outerFirst = [...angles].sort((a, b) => Math.abs(b) - Math.abs(a));
    fan(pen, outerFirst, 62, 19, colour);
    pen.at(0, 6, 0, 0.72, () => fan(pen, outerFirst.slice(2), 62, 22, second));
  },
  iris(pen, { colour, second }) {
    fan(pen, [-26, 26], 56, 24, second, 'round');
    fan(pen, [0], 60, 24, second, 'round');
    for (const angle of [-118, 118]) {
      pen.at(0, 0, angle, 1, () => {
        petal(pen, { length: 54, width: 22, fill: colour });
        pen.path('M0 -8L0 -30', { weight: 3 });
      });
    }
    pen.at(0, 0, 180, 1, () => {
      petal(pen, { length: 52, width: 27, fill: colour });
      pen.path('M0 -6L0 -28', { weight: 3 });
    });
  },
  thistle(pen, { colour }) {
    for (let at = -9; at <= 9; at += 1) {
      pen.at(0, -30, at * 6.5, 1, () =>
        petal(pen, { length: 40 + (at % 2 === 0 ? 4 : 0), width: 3.4, tip: 'point', fill: colour }),
      );
    }
    pen.path('M-20 -34C-28 -10 -16 4 0 4C16 4 28 -10 20 -34Q0 -42 -20 -34Z', { fill: GREEN });
    for (let row = 0; row < 3; row += 1) {
      for (let at = -2; at <= 2; at += 1)
        pen.at(at * 8.5, -6 - row * 10, at * 9, 1, () => pen.path('M-4 3L0 -6L4 3', { weight: 1.1 }));
    }
  },
  /** A head of pointed scales: artichoke, protea. */
  scales(pen, { colour, second }) {
    fan(pen, [-46, 46, -32, 32], 62, 13, colour);
    fan(pen, [-18, 18, 0], 60, 15, second);
    for (const [y, scale] of [
      [0, 0.86],
      [4, 0.66],
      [7, 0.46],
    ] as const) {
      pen.at(0, y, 0, scale, () => fan(pen, [-52, 52, -30, 30, -10, 10], 60, 17, colour));
    }
  },
  globe(pen, { colour }) {
    pen.circle(0, -32, 32, { fill: colour });
    for (let at = 0; at < 26; at += 1)
      pen.at(0, -32, at * 13.85, 1, () => pen.path('M-3 -29L0 -40L3 -29', { weight: 1.2 }));
    for (let at = 0; at < 14; at += 1)
      pen.at(0, -32, at * 25.7, 1, () => pen.path('M-3 -14L0 -22L3 -14', { weight: 1.1 }));
  },
  /** Rays that hang from a high cone. */
  cone(pen, { colour, second, count }) {
    const n = count ?? 9;
    for (let at = 0; at < n; at += 1) {
      pen.at(0, -18, 100 + (at * 160) / (n - 1), 1, () =>
        petal(pen, { length: 50, width: 10, tip: 'notch', fill: colour, vein: true }),
      );
    }
    pen.path('M-25 -14C-25 -46 -12 -56 0 -56C12 -56 25 -46 25 -14Q0 -4 -25 -14Z', { fill: second });
    for (let row = 0; row < 4; row += 1) {
      for (let at = -3; at <= 3; at += 1) {
        pen.path(
          `M${at * (6.6 - row) - 2.6} ${-16 - row * 9.5}L${at * (6.6 - row)} ${-21 - row * 9.5}L${at * (6.6 - row) + 2.6} ${-16 - row * 9.5}`,
          { weight: 1 },
        );
      }
    }
  },
  umbel(pen, { colour, count }) {
    const n = count ?? 9;
    for (let at = 0; at < n; at += 1) {
      const angle = (at - (n - 1) / 2) * (128 / n);
      pen.at(0, 6, angle, 1, () => {
        const far = 62 - Math.abs(angle) * 0.12;
        pen.path(`M0 0L0 ${-far}`, { weight: 1.2 });
        for (let dot = 0; dot < 8; dot += 1) {
          const turn = dot * 2.4;
          const r = 3 + dot * 0.9;
          pen.circle(Math.cos(turn) * r, -far + Math.sin(turn) * r * 0.8, 3.1, { fill: colour, weight: 1.1 });
        }
      });
    }
  },
  /** A leaf around a spike: arums. */
  arum(pen, { colour, second }) {
    pen.path('M0 8C-34 0 -40 -40 -14 -66C-2 -78 16 -84 30 -80C24 -70 34 -52 32 -34C30 -12 16 4 0 8Z', { fill: colour });
    pen.path('M-4 -6C-9 -30 -7 -46 -2 -58C3 -62 8 -58 8 -52C8 -36 6 -20 2 -6Z', { fill: second });
    pen.path('M0 8C20 0 30 -20 32 -34C26 -22 12 -10 -6 -8C-20 -6 -24 -14 -26 -22C-26 -6 -14 6 0 8Z', { fill: colour });
  },
  anthurium(pen, { colour, second }) {
    pen.path('M0 6C-20 22 -52 4 -46 -28C-42 -52 -14 -64 0 -82C14 -64 42 -52 46 -28C52 4 20 22 0 6Z', { fill: colour });
    pen.path('M0 0C-2 -20 -1 -40 0 -66M-4 -6C-22 -12 -34 -22 -36 -36M4 -6C22 -12 34 -22 36 -36', { weight: 1 });
    pen.at(0, 0, 24, 1, () => petal(pen, { length: 54, width: 7, fill: second }));
  },
  hood(pen, { colour, second }) {
    pen.path(
      'M-16 6C-22 -20 -22 -40 -14 -56C-4 -78 30 -78 46 -58C34 -60 24 -54 18 -44C20 -26 18 -10 10 6Q-3 12 -16 6Z',
      { fill: colour },
    );
    pen.path('M-2 -14C-5 -32 -4 -44 1 -52C7 -52 9 -44 8 -34C8 -24 7 -18 5 -12Z', { fill: second });
    pen.path('M-16 -6C-6 -16 8 -16 15 -10M-12 4C-14 -20 -14 -36 -9 -50M-4 8C-6 0 -6 -4 -6 -8', { weight: 1.1 });
  },
  strelitzia(pen, { colour, second }) {
    fan(pen, [-36, -12, 10], 70, 11, colour);
    pen.at(0, -4, 30, 1, () => petal(pen, { length: 62, width: 7, tip: 'point', fill: second }));
    pen.path('M-22 4C-6 -14 26 -22 74 -18C44 -8 18 10 -6 16Q-18 16 -22 4Z', { fill: GREEN });
  },
  cyclamen(pen, { colour, second }) {
    fan(pen, [-52, 52, -26, 26, 0], 62, 18, colour, 'round');
    pen.path('M-15 -4C-14 12 14 12 15 -4Q0 -12 -15 -4Z', { fill: second });
  },
  pea(pen, { colour, second }) {
    pen.path('M0 0C-44 -4 -50 -44 -28 -60C-14 -68 -4 -58 0 -50C4 -58 14 -68 28 -60C50 -44 44 -4 0 0Z', {
      fill: colour,
    });
    pen.path('M0 4C-24 0 -28 -20 -16 -32C-8 -38 -2 -30 0 -22C2 -30 8 -38 16 -32C28 -20 24 0 0 4Z', { fill: second });
    pen.path('M0 4C-8 0 -8 -12 0 -18C8 -12 8 0 0 4Z', { fill: '#f5efd8' });
  },
  /** A shaggy mop: bee balm. */
  mop(pen, { colour }) {
    for (let at = -8; at <= 8; at += 1) {
      pen.at(0, -22, at * 15, 1, () => petal(pen, { length: 44 - Math.abs(at), width: 6, tip: 'point', fill: colour }));
    }
    pen.at(0, -22, 0, 0.6, () => ring(pen, { count: 12, length: 34, width: 6, tip: 'point', fill: colour }));
    pen.circle(0, -22, 9, { fill: GREEN });
  },
  plume(pen, { colour, second }) {
    pen.path(
      'M-8 6C-30 -8 -26 -22 -20 -28C-34 -36 -28 -52 -18 -54C-24 -66 -10 -82 0 -90C10 -82 24 -66 18 -54C28 -52 34 -36 20 -28C26 -22 30 -8 8 6Z',
      { fill: colour },
    );
    for (const y of [-8, -28, -48, -66])
      pen.path(`M0 ${y + 10}C-6 ${y + 4} -10 ${y} -14 ${y - 4}M0 ${y + 6}C6 ${y} 10 ${y - 4} 14 ${y - 8}`, {
        weight: 1.1,
      });
    pen.at(0, 0, 0, 0.5, () =>
      pen.path('M0 -30C-14 -60 -6 -100 0 -140C6 -100 14 -60 0 -30Z', { fill: second, weight: 0 }),
    );
  },
  /** A head of bracts, one above the other: gingers. */
  ginger(pen, { colour, second }) {
    for (let row = 4; row >= 0; row -= 1) {
      for (const side of [-1, 1]) {
        pen.at(0, -8 - row * 15, side * (52 - row * 7), 1 - row * 0.07, () =>
          petal(pen, { length: 42, width: 18, tip: 'point', fill: row > 2 ? second : colour }),
        );
      }
    }
    pen.at(0, -70, 0, 1, () => petal(pen, { length: 26, width: 13, tip: 'point', fill: second }));
  },
};
