/** One figure with its name, and how it went in the last minutes. */
import type { ReactElement } from 'react';
import type { Value } from '../shapes.ts';

interface StatProps {
  readonly label: string;
  readonly value: string;
  readonly unit?: string;
  readonly bad?: boolean;
  readonly trend: readonly Value[];
}

/** Five minutes. */
const POINTS = 60;
const WIDTH = 64;
const HEIGHT = 22;

export function Stat({ label, value, unit = '', bad = false, trend }: StatProps): ReactElement {
  return (
    <div className="min-w-0 rounded-md border border-line bg-surface px-3 py-2.5 sm:px-4">
      <dt className="truncate text-xs text-soft">{label}</dt>
      <dd className={`flex items-end justify-between gap-2 text-lg font-bold ${bad ? 'text-deadly' : ''}`}>
        <span className="leading-tight whitespace-nowrap">
          {value}
          <span className="ml-0.5 text-xs font-normal text-soft">{unit}</span>
        </span>
        <svg
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          preserveAspectRatio="none"
          aria-hidden="true"
          className={`h-6 w-16 min-w-0 shrink ${bad ? 'text-deadly' : 'text-leaf'}`}
        >
          <path
            d={lineOf(trend.slice(-POINTS))}
            fill="none"
            stroke="currentColor"
            strokeWidth="1.5"
            strokeLinejoin="round"
            vectorEffect="non-scaling-stroke"
          />
        </svg>
      </dd>
    </div>
  );
}

/** Gaps where nothing was measured. */
function lineOf(values: readonly Value[]): string {
  const most = values.reduce<number>((top, value) => Math.max(top, value ?? 0), 0) || 1;
  const step = WIDTH / (POINTS - 1);
  let path = '';
  let drawing = false;
  for (const [index, value] of values.entries()) {
    if (value === null) {
      drawing = false;
      continue;
    }
    const x = WIDTH - (values.length - 1 - index) * step;
    const y = HEIGHT - 1.5 - (value / most) * (HEIGHT - 3);
    path += `${drawing ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
    drawing = true;
  }
  return path;
}
