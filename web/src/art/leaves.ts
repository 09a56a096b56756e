/** Leaves and stems, and what is drawn of them alone. */
import type { Pen } from './pen.ts';

export interface Colours {
  readonly colour: string;
  readonly second: string;
  /** Of petals, leaflets or heads; 0: as the form has it. */
  readonly count: number;
  readonly leaf: string;
}

export type Form = (pen: Pen, look: Colours) => void;

export const GREEN = 'var(--drawing-leaf)';

/** A leaf that grows up from the origin, `length` high. */
export function leaf(pen: Pen, kind: string, length: number): void {
  const wide = { oval: 0.3, lance: 0.14, heart: 0.46, round: 0.5, broad: 0.4 }[kind] ?? 0.3;
  const w = length * wide;
  pen.path(
    `M0 0C${w} ${-length * 0.25} ${w} ${-length * 0.7} 0 ${-length}C${-w} ${-length * 0.7} ${-w} ${-length * 0.25} 0 0Z`,
    {
      fill: GREEN,
    },
  );
  pen.path(`M0 0L0 ${-length * 0.86}`, { weight: 1 });
}

/** Leaves left and right of a bent stem. */
export const twig: Form = (pen, { leaf: kind, colour }) => {
  const bend = pen.between(-14, 14);
  pen.path(`M100 226C${100 + bend} 170 ${100 - bend} 110 ${100 + bend} 40`);
  const pairs = 3 + Math.floor(pen.random() * 3);
  for (let pair = 0; pair < pairs; pair += 1) {
    const y = 190 - (pair * 140) / pairs;
    for (const side of [-1, 1]) {
      pen.at(100, y - (side > 0 ? 12 : 0), side * pen.between(46, 64), 1, () => leaf(pen, kind, 66 - pair * 6));
    }
  }
  pen.circle(100 + bend, 34, 9, { fill: colour });
};
