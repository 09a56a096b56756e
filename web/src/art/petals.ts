/** Petals that grow up from the origin, and rings of them. */
import type { Pen } from './pen.ts';

export type Tip = 'round' | 'point' | 'notch' | 'fringe';

export interface Petal {
  readonly length: number;
  /** Half of the width at its widest, about. */
  readonly width: number;
  readonly tip?: Tip;
  readonly fill: string;
  /** A line along its middle. */
  readonly vein?: boolean;
}

export function petal(pen: Pen, { length: l, width: w, tip = 'round', fill, vein = false }: Petal): void {
  const shapes: Readonly<Record<Tip, () => string>> = {
    round: () => `M0 0C${w} ${-l * 0.25} ${w * 1.3} ${-l} 0 ${-l}C${-w * 1.3} ${-l} ${-w} ${-l * 0.25} 0 0Z`,
    point: () => `M0 0C${w} ${-l * 0.3} ${w} ${-l * 0.7} 0 ${-l}C${-w} ${-l * 0.7} ${-w} ${-l * 0.3} 0 0Z`,
    notch: () =>
      `M0 0C${w} ${-l * 0.3} ${w * 1.5} ${-l * 1.05} ${w * 0.4} ${-l}Q${w * 0.1} ${-l * 0.97} 0 ${-l * 0.88}` +
      `Q${-w * 0.1} ${-l * 0.97} ${-w * 0.4} ${-l}C${-w * 1.5} ${-l * 1.05} ${-w} ${-l * 0.3} 0 0Z`,
    fringe: () => {
      let edge = '';
      for (let at = 4; at >= -4; at -= 1) {
        edge += `L${(w * at) / 4} ${-l * (at % 2 === 0 ? 0.98 : 0.86) + Math.abs(at) * l * 0.02}`;
      }
      return `M0 0L${w} ${-l * 0.8}${edge}Z`;
    },
  };
  pen.path(shapes[tip](), { fill });
  if (vein) pen.path(`M0 ${-l * 0.2}L0 ${-l * 0.72}`, { weight: 0.9 });
}

export interface Ring extends Petal {
  readonly count: number;
  /** How far from the middle they begin. */
  readonly from?: number;
  /** Degrees by which the first is turned. */
  readonly turn?: number;
}

export function ring(pen: Pen, { count, from = 0, turn = 0, ...one }: Ring): void {
  for (let at = 0; at < count; at += 1) {
    const wobble = pen.between(-2.5, 2.5);
    pen.at(0, 0, turn + (360 * at) / count + wobble, 1, () => pen.at(0, -from, 0, 1, () => petal(pen, one)));
  }
}

/** Threads with heads: stamens. */
export function stamens(pen: Pen, count: number, length: number, fill: string, turn = 0): void {
  for (let at = 0; at < count; at += 1) {
    pen.at(0, 0, turn + (360 * at) / count, 1, () => {
      pen.path(`M0 0L0 ${-length}`, { weight: 1 });
      pen.circle(0, -length, 2.2, { fill, weight: 1 });
    });
  }
}

/** Small dots in a disc. */
export function dots(pen: Pen, count: number, radius: number): void {
  for (let at = 0; at < count; at += 1) {
    // The golden angle, as seeds stand in a sunflower.
    const angle = at * 2.399963;
    const far = radius * Math.sqrt((at + 0.5) / count);
    const [x, y] = [Math.cos(angle) * far, Math.sin(angle) * far];
    pen.path(`M${x} ${y}L${x + 0.1} ${y}`, { weight: 1.8 });
  }
}
