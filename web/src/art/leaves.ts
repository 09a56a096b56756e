/** Stems and leaves. A leaf grows up from the origin. */
import type { Pen } from './pen.ts';

export const GREEN = 'var(--drawing-leaf)';

type DrawLeaf = (pen: Pen, length: number) => void;

const plain =
  (wide: number, vein = true): DrawLeaf =>
  (pen, l) => {
    const w = l * wide;
    pen.path(`M0 0C${w} ${-l * 0.22} ${w} ${-l * 0.68} 0 ${-l}C${-w} ${-l * 0.68} ${-w} ${-l * 0.22} 0 0Z`, {
      fill: GREEN,
    });
    if (vein) pen.path(`M0 0L0 ${-l * 0.84}`, { weight: 1 });
  };

/** Leaflets left and right of a stalk, and one at its end. */
const feather =
  (pairs: number, wide: number): DrawLeaf =>
  (pen, l) => {
    pen.path(`M0 0L0 ${-l * 0.7}`, { weight: 1.3 });
    for (let pair = 0; pair < pairs; pair += 1) {
      const y = -l * (0.2 + (0.5 * pair) / pairs);
      for (const side of [-1, 1]) pen.at(0, y, side * 58, 1, () => plain(wide, false)(pen, l * 0.36));
    }
    pen.at(0, -l * 0.68, 0, 1, () => plain(wide, false)(pen, l * 0.36));
  };

/** Leaflets from one point, like fingers. */
const fingers =
  (count: number, spread: number, wide: number): DrawLeaf =>
  (pen, l) => {
    pen.path(`M0 0L0 ${-l * 0.35}`, { weight: 1.4 });
    const order = Array.from({ length: count }, (_, at) => at - (count - 1) / 2).sort(
      (a, b) => Math.abs(b) - Math.abs(a),
    );
    for (const at of order) {
      const long = l * (0.68 - 0.06 * Math.abs(at));
      pen.at(0, -l * 0.33, at * spread, 1, () => plain(wide)(pen, long));
    }
  };

const lobed: DrawLeaf = (pen, l) => {
  const right = [
    [0.1, 0.1],
    [0.26, 0.2],
    [0.12, 0.32],
    [0.34, 0.44],
    [0.15, 0.56],
    [0.3, 0.7],
    [0.1, 0.8],
    [0.12, 0.92],
    [0, 1],
  ] as const;
  const points = [
    ...right,
    ...[...right]
      .reverse()
      .slice(1)
      .map(([x, y]) => [-x, y] as const),
  ];
  let d = 'M0 0';
  let [lastX, lastY] = [0, 0];
  for (const [x, y] of points) {
    d += `Q${((lastX + x) / 2) * l * 1.25} ${-((lastY + y) / 2) * l} ${x * l} ${-y * l}`;
    [lastX, lastY] = [x, y];
  }
  pen.path(`${d}Z`, { fill: GREEN });
  pen.path(`M0 0L0 ${-l * 0.86}M0 ${-l * 0.34}L${l * 0.2} ${-l * 0.46}M0 ${-l * 0.34}L${-l * 0.2} ${-l * 0.46}`, {
    weight: 1,
  });
};

const heart: DrawLeaf = (pen, l) => {
  const w = l * 0.55;
  pen.path(
    `M0 ${-l * 0.12}C${w * 0.4} ${l * 0.12} ${w * 1.1} ${-l * 0.1} ${w * 0.95} ${-l * 0.45}C${w * 0.8} ${-l * 0.75} ${w * 0.3} ${-l * 0.85} 0 ${-l}` +
      `C${-w * 0.3} ${-l * 0.85} ${-w * 0.8} ${-l * 0.75} ${-w * 0.95} ${-l * 0.45}C${-w * 1.1} ${-l * 0.1} ${-w * 0.4} ${l * 0.12} 0 ${-l * 0.12}Z`,
    { fill: GREEN },
  );
  pen.path(`M0 0L0 ${-l * 0.82}M0 ${-l * 0.25}L${w * 0.6} ${-l * 0.5}M0 ${-l * 0.25}L${-w * 0.6} ${-l * 0.5}`, {
    weight: 1,
  });
};

const round: DrawLeaf = (pen, l) => {
  pen.path(`M0 0L0 ${-l * 0.4}`, { weight: 1.4 });
  pen.circle(0, -l * 0.68, l * 0.34, { fill: GREEN });
  for (const at of [-70, -35, 0, 35, 70])
    pen.at(0, -l * 0.68, at, 1, () => pen.path(`M0 0L0 ${-l * 0.24}`, { weight: 0.9 }));
};

/** A long blade that bends over. */
const grass: DrawLeaf = (pen, l) => {
  const [bend, w] = [pen.between(-0.16, 0.16) * l, l * 0.045];
  pen.path(
    `M${-w} 0C${-w} ${-l * 0.4} ${bend * 0.3 - w} ${-l * 0.8} ${bend} ${-l}C${bend * 0.3 + w} ${-l * 0.75} ${w} ${-l * 0.4} ${w} 0Z`,
    { fill: GREEN },
  );
};

const LEAVES: Readonly<Record<string, DrawLeaf>> = {
  oval: plain(0.3),
  lance: plain(0.15),
  broad: plain(0.42),
  needle: plain(0.06, false),
  feather: feather(3, 0.18),
  pinnate: feather(3, 0.34),
  three: fingers(3, 52, 0.42),
  five: fingers(5, 36, 0.3),
  lobed,
  heart,
  round,
  grass,
};

/** The kinds that a guide may name. */
export const LEAF_KINDS: readonly string[] = Object.keys(LEAVES);

export const leaf = (pen: Pen, kind: string, length: number): void => (LEAVES[kind] ?? LEAVES.oval)?.(pen, length);

/** A stem from the ground to a point, with leaves on it or around its foot. */
export function stem(pen: Pen, x: number, y: number, kind: string, count = 3): void {
  const bend = pen.between(-10, 10);
  const foot = 232;
  if (kind === 'grass' || kind === 'basal' || kind === 'pad') {
    const blades = kind === 'grass' ? 'grass' : kind === 'pad' ? 'round' : 'broad';
    for (const angle of [-34, 30, -16, 14]) {
      const long = (blades === 'grass' ? 130 : 74) + pen.between(-14, 14);
      pen.at(100 + angle / 5, foot, angle * (blades === 'grass' ? 0.7 : 1.7), 1, () => leaf(pen, blades, long));
    }
  }
  const at = (t: number): readonly [number, number] => {
    // The same curve as below, at the part t of its way up.
    const [p0, p1, p2, p3] = [100, 100 + bend, x - bend, x];
    const [q0, q1, q2, q3] = [foot, foot - (foot - y) * 0.35, y + (foot - y) * 0.35, y];
    const u = 1 - t;
    const mix = (a: number, b: number, c: number, d: number): number =>
      u * u * u * a + 3 * u * u * t * b + 3 * u * t * t * c + t * t * t * d;
    return [mix(p0, p1, p2, p3), mix(q0, q1, q2, q3)];
  };
  if (!['grass', 'basal', 'pad', 'none'].includes(kind)) {
    for (let one = 0; one < count; one += 1) {
      const [lx, ly] = at(0.12 + (0.5 * one) / count);
      const side = one % 2 === 0 ? -1 : 1;
      pen.at(lx, ly, side * pen.between(48, 66), 1, () =>
        leaf(pen, kind, (kind === 'heart' || kind === 'round' ? 54 : 70) - one * 8),
      );
    }
  }
  pen.path(`M100 ${foot}C${100 + bend} ${foot - (foot - y) * 0.35} ${x - bend} ${y + (foot - y) * 0.35} ${x} ${y}`, {
    weight: 2.2,
  });
}
