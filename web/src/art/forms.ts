/** The forms that a guide may name, each with its stem and leaves. */
import { FACING } from './facing.ts';
import { FOLIAGE } from './foliage.ts';
import { GARMENTS } from './garments.ts';
import { stem } from './leaves.ts';
import type { Draw } from './look.ts';
import { SIDEWAYS } from './sideways.ts';
import { SPIKES } from './spikes.ts';

/** A flower that looks at you, on its stem; some have a second, smaller one beside it. */
const facing =
  (head: Draw): Draw =>
  (pen, look) => {
    const x = 100 + pen.between(-7, 7);
    if (pen.random() < 0.45) {
      const side = pen.random() < 0.5 ? -1 : 1;
      pen.path(`M100 190C${100 + side * 18} 176 ${100 + side * 44} 170 ${100 + side * 50} 150`, { weight: 1.7 });
      pen.at(100 + side * 50, 146, side * 20, 0.45, () => head(pen, look));
    }
    stem(pen, x, 84, look.leaf);
    pen.at(x, 76, pen.between(-10, 10), 1.12, () => head(pen, look));
  };

const sideways =
  (head: Draw): Draw =>
  (pen, look) => {
    const x = 100 + pen.between(-6, 6);
    stem(pen, x, 112, look.leaf);
    pen.at(x, 114, pen.between(-6, 6), 1.1, () => head(pen, look));
  };

const spike =
  (flowers: Draw): Draw =>
  (pen, look) => {
    stem(pen, 100, 24, look.leaf, 2);
    flowers(pen, look);
  };

/** These bring their own stem. */
const OWN_STEM = new Set(['nodding', 'trumpets', 'spray']);

const each = (draws: Readonly<Record<string, Draw>>, as: (draw: Draw, name: string) => Draw): [string, Draw][] =>
  Object.entries(draws).map(([name, draw]) => [name, as(draw, name)]);

const bowed =
  (flowers: Draw): Draw =>
  (pen, look) => {
    if (look.leaf !== 'none') stem(pen, 100, 200, look.leaf);
    flowers(pen, look);
  };

export const FORMS: Readonly<Record<string, Draw>> = Object.fromEntries([
  ...each(FACING, facing),
  ...each(SIDEWAYS, sideways),
  ...each(SPIKES, (draw, name) => (OWN_STEM.has(name) ? bowed(draw) : spike(draw))),
  ...each(FOLIAGE, (draw) => draw),
  ...each(GARMENTS, (draw) => draw),
]);
