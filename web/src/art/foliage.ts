/** Plants that are known by their leaves. */
import { leaf, GREEN, stem } from './leaves.ts';
import type { Draw } from './look.ts';

/** Leaves left and right of a bent stem; what is drawn where a guide says nothing. */
export const twig: Draw = (pen, { leaf: kind, colour }) => {
  const bend = pen.between(-14, 14);
  const pairs = 3 + Math.floor(pen.random() * 2);
  for (let pair = 0; pair < pairs; pair += 1) {
    const y = 196 - (pair * 140) / pairs;
    for (const side of [-1, 1]) {
      pen.at(100, y - (side > 0 ? 12 : 0), side * pen.between(46, 64), 1, () => leaf(pen, kind, 68 - pair * 8));
    }
  }
  pen.path(`M100 232C${100 + bend} 170 ${100 - bend} 110 ${100 + bend} 46`, { weight: 2.2 });
  pen.circle(100 + bend, 38, 8, { fill: colour });
};

export const FOLIAGE: Readonly<Record<string, Draw>> = {
  twig,
  /** One large leaf, as it is pressed into a herbarium. */
  'tree-leaf'(pen, { leaf: kind, colour }) {
    pen.path('M104 236C100 222 98 210 100 196', { weight: 2.4 });
    pen.at(100, 200, pen.between(-6, 6), 1, () => leaf(pen, kind, 168));
    pen.circle(126, 214, 6, { fill: colour });
    pen.circle(138, 204, 5, { fill: colour });
  },
  /** A climbing stem with large compound leaves and a few berries. */
  climber(pen, { leaf: kind, colour, count }) {
    for (const [x, y, angle, size] of [
      [92, 196, 74, 72],
      [84, 164, -66, 78],
      [98, 118, 66, 72],
      [103, 84, -62, 64],
      [106, 58, 46, 54],
      [109, 44, -14, 44],
    ] as const) {
      pen.at(x, y, angle, 1, () => leaf(pen, kind, size));
    }
    pen.path('M84 234C108 200 68 160 98 118C112 96 102 66 109 44', { weight: 2.4 });
    pen.path('M94 206Q78 204 66 212', { weight: 1.3 });
    for (let at = 0; at < (count ?? 6); at += 1) {
      const turn = at * 2.4;
      pen.circle(58 + Math.cos(turn) * (3 + at * 1.3), 216 + Math.sin(turn) * (3 + at), 4.6, {
        fill: colour,
        weight: 1.3,
      });
    }
  },
  /** Stiff blades that stand. */
  blades(pen, { colour, count }) {
    const n = count ?? 6;
    for (let at = 0; at < n; at += 1) {
      const angle = (at - (n - 1) / 2) * 9;
      const [l, w] = [150 + pen.between(-28, 26), 13];
      pen.at(100 + angle * 0.7, 226, angle, 1, () => {
        pen.path(
          `M${-w * 0.6} 0C${-w} ${-l * 0.5} ${-w} ${-l * 0.8} 0 ${-l}C${w} ${-l * 0.8} ${w} ${-l * 0.5} ${w * 0.6} 0Z`,
          { fill: colour },
        );
        for (let band = 1; band < 7; band += 1)
          pen.path(
            `M-9 ${(-l * band) / 8}Q-3 ${(-l * band) / 8 - 6} 1 ${(-l * band) / 8}Q5 ${(-l * band) / 8 + 5} 9 ${(-l * band) / 8 - 2}`,
            { weight: 1 },
          );
      });
    }
    pen.path('M62 226Q100 238 138 226', { weight: 2.2 });
  },
  /** A fountain of narrow leaves with small plants on long stalks. */
  fountain(pen, { colour }) {
    for (let at = 0; at < 13; at += 1) {
      const side = at % 2 === 0 ? -1 : 1;
      const reach = 16 + at * 5.4;
      const high = 150 - at * 6;
      pen.path(
        `M100 170C${100 + side * reach * 0.3} ${170 - high * 0.8} ${100 + side * reach} ${160 - high * 0.9} ${100 + side * (reach + 12)} ${190 - high * 0.4 + at * 2}` +
          `C${100 + side * (reach - 6)} ${170 - high * 0.7} ${100 + side * (reach * 0.3 + 6)} ${176 - high * 0.6} ${100 + side * 7} 172Z`,
        { fill: at % 3 === 0 ? colour : GREEN, weight: 1.4 },
      );
    }
    pen.path('M70 176L130 176L122 228L78 228Z', { fill: '#d39a6a' });
    pen.path('M66 168L134 168L134 180L66 180Z', { fill: '#d39a6a' });
  },
  /** A rosette with a coloured heart. */
  rosette(pen, { colour, second }) {
    for (const [angle, length] of [
      [-78, 104],
      [78, 104],
      [-58, 116],
      [58, 116],
      [-38, 122],
      [38, 122],
      [-18, 112],
      [18, 112],
    ] as const) {
      pen.at(100, 218, angle, 1, () => leaf(pen, 'lance', length));
    }
    for (const [angle, length] of [
      [-30, 92],
      [30, 92],
      [-15, 104],
      [15, 104],
      [0, 112],
    ] as const) {
      pen.at(100, 210, angle, 1, () => {
        pen.path(
          `M0 0C15 ${-length * 0.3} 13 ${-length * 0.7} 0 ${-length}C-13 ${-length * 0.7} -15 ${-length * 0.3} 0 0Z`,
          { fill: angle === 0 ? second : colour },
        );
        pen.path(`M0 ${-length * 0.2}L0 ${-length * 0.75}`, { weight: 0.9 });
      });
    }
  },
  /** A flat spike of bracts over thin leaves. */
  quill(pen, { colour, second }) {
    stem(pen, 100, 150, 'grass');
    for (let row = 0; row < 7; row += 1) {
      for (const side of [-1, 1]) {
        pen.at(100, 158 - row * 15, side * 38, 1, () =>
          pen.path('M0 4C13 -2 14 -20 0 -34C-10 -22 -10 -6 0 4Z', { fill: colour }),
        );
      }
    }
    pen.at(100, 54, 0, 1, () => pen.path('M0 6C10 -4 10 -20 0 -32C-10 -20 -10 -4 0 6Z', { fill: colour }));
    pen.at(126, 108, 60, 1, () => {
      for (const angle of [-50, 50, 0])
        pen.at(0, 0, angle, 1, () => pen.path('M0 0C9 -8 9 -18 0 -24C-9 -18 -9 -8 0 0Z', { fill: second }));
    });
  },
};
