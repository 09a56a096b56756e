/**
 * A chart of the series: uPlot draws the lines; the heading, the legend with its values, and what a screen reader is told are
 * ours. All charts of a page share the pointer, so that one moment is read in all of them.
 */
import { useEffect, useId, useMemo, useRef, useState, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { useLanguage } from '../../i18n/use-language.ts';
import { clock } from '../format.ts';
import type { Value } from '../shapes.ts';
import { colourOf, useThemeKey } from './theme-key.ts';

export interface Line {
  readonly key: string;
  readonly label: string;
  readonly values: readonly Value[];
  /** A CSS colour, perhaps a variable. */
  readonly colour: string;
  /** Tells lines apart where colours do not. */
  readonly dash?: readonly number[];
}

interface ChartProps {
  readonly title: string;
  readonly about: string;
  /** Epoch seconds. */
  readonly at: readonly number[];
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
  /** One on top of the other: their sum is the upper edge. */
  readonly stacked?: boolean;
  /** Seconds that are shown. */
  readonly windowS: number;
  /** The axis goes up to it at least, so that nearly nothing looks like nearly nothing. */
  readonly least: number;
}

const HEIGHT = 168;
const SYNC = 'console';

export function Chart({ title, about, at, lines, format, stacked = false, windowS, least }: ChartProps): ReactElement {
  const { t } = useTranslation('console');
  const id = useId();
  const [hovered, setHovered] = useState<number | null>(null);
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const themeKey = useThemeKey();
  const lang = useLanguage();

  const data = useMemo(() => dataOf(at, lines, stacked), [at, lines, stacked]);
  const latest = useRef({ data, format });
  latest.current = { data, format };
  // What the lines are, and not what they say now: a new chart is made only for these.
  const shape = lines.map(({ key, colour, dash }) => `${key} ${colour} ${dash?.join() ?? ''}`).join('|');
  const styles = useRef(lines);
  styles.current = lines;

  useEffect(() => {
    const box = place.current;
    if (box === null) return undefined;
    const made = new uPlot(
      optionsOf({
        width: box.clientWidth,
        lines: styles.current,
        stacked,
        least,
        colour: (name) => colourOf(box, name),
        format: (value) => latest.current.format(value),
        onHover: setHovered,
      }),
      latest.current.data,
      box,
    );
    plot.current = made;
    const resize = new ResizeObserver(() => made.setSize({ width: box.clientWidth, height: HEIGHT }));
    resize.observe(box);
    return () => {
      resize.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, stacked, least, themeKey, lang]);

  useEffect(() => {
    const made = plot.current;
    if (made === null) return;
    made.setData(data, false);
    const end = at.at(-1) ?? Date.now() / 1_000;
    made.setScale('x', { min: end - windowS, max: end });
  }, [data, at, windowS, shape, stacked, themeKey, lang]);

  const shown = hovered !== null && hovered < at.length ? hovered : at.length - 1;
  const from = (at.at(-1) ?? 0) - windowS;
  const summary = lines
    .map(({ label, values }) => {
      const seen = values.filter((value, index): value is number => value !== null && (at[index] ?? 0) >= from);
      const now = values.at(-1) ?? null;
      if (seen.length === 0) return `${label}: ${t('chart.nothing')}`;
      const peak = format(seen.reduce((most, value) => Math.max(most, value), 0));
      return t('chart.summary', { label, now: now === null ? '–' : format(now), peak });
    })
    .join('; ');

  return (
    <figure className="min-w-0 rounded-md border border-line bg-surface p-3 sm:p-4" aria-labelledby={id}>
      <figcaption className="flex flex-wrap items-baseline gap-x-3">
        <span id={id} className="text-sm font-semibold">
          {title}
        </span>
        <span className="text-xs text-soft">{about}</span>
      </figcaption>
      <ul className="mt-1.5 flex flex-wrap gap-x-4 gap-y-0.5 text-xs">
        {lines.map(({ key, label, values, colour, dash }) => {
          const value = values[shown] ?? null;
          return (
            <li key={key} className="inline-flex items-center gap-1.5">
              <svg width="16" height="8" aria-hidden="true">
                <path
                  d="M0 4h16"
                  strokeWidth={stacked ? 8 : 2.5}
                  strokeDasharray={dash?.join(' ')}
                  style={{ stroke: colour }}
                />
              </svg>
              <span className="text-soft">{label}</span>
              <span className="font-semibold">{value === null ? '–' : format(value)}</span>
            </li>
          );
        })}
        {hovered !== null && at[shown] !== undefined && (
          <li className="ml-auto text-soft">{clock(at[shown] * 1_000)}</li>
        )}
      </ul>
      <div className="relative mt-2">
        <div ref={place} role="img" aria-label={summary} style={{ height: HEIGHT }} className="overflow-hidden" />
        {at.length === 0 && (
          <p className="absolute inset-0 flex items-center justify-center text-xs text-soft">{t('chart.empty')}</p>
        )}
      </div>
    </figure>
  );
}

/** Each line as it is, or on top of those before it. */
function dataOf(at: readonly number[], lines: readonly Line[], stacked: boolean): uPlot.AlignedData {
  if (!stacked) return [[...at], ...lines.map(({ values }) => [...values])];
  const sums: (number | null)[] = at.map(() => 0);
  const layers = lines.map(({ values }) =>
    values.map((value, index) => {
      const below = sums[index] ?? null;
      sums[index] = value === null || below === null ? null : below + value;
      return sums[index];
    }),
  );
  return [[...at], ...layers];
}

interface Looks {
  readonly width: number;
  readonly lines: readonly Line[];
  readonly stacked: boolean;
  readonly least: number;
  readonly colour: (name: string) => string;
  readonly format: (value: number) => string;
  readonly onHover: (index: number | null) => void;
}

function optionsOf({ width, lines, stacked, least, colour, format, onHover }: Looks): uPlot.Options {
  const soft = colour('var(--soft)');
  const grid = { stroke: colour('var(--data-grid)'), width: 1 };
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { stroke: soft, font, ticks: { show: false }, grid };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    padding: [8, 8, 0, 0],
    cursor: {
      y: false,
      drag: { setScale: false, x: false, y: false },
      sync: { key: SYNC },
      points: { show: !stacked },
    },
    scales: {
      x: { time: true },
      y: { range: (_plot, _from, most) => [0, Math.max(least, Number.isFinite(most) ? most * 1.1 : 0)] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        values: (_plot, splits) => splits.map((second) => clock(second * 1_000)),
        space: 64,
        size: 28,
      },
      { ...axis, size: 58, space: 36, values: (_plot, splits) => splits.map((value) => format(value)) },
    ],
    series: [
      {},
      ...lines.map((line, index) => {
        const stroke = colour(line.colour);
        return {
          label: line.label,
          stroke,
          width: stacked ? 1 : 1.75,
          // A point without neighbours is no line: it is drawn as one.
          points: { show: false, size: 5, fill: stroke, filter: alone },
          ...(stacked && index === 0 ? { fill: withAlpha(stroke) } : {}),
          ...(line.dash === undefined ? {} : { dash: [...line.dash] }),
        };
      }),
    ],
    // A layer is what lies between its line and the one below it.
    ...(stacked
      ? {
          bands: lines.slice(1).map((line, index) => ({
            series: [index + 2, index + 1] as [number, number],
            fill: withAlpha(colour(line.colour)),
          })),
        }
      : {}),
    hooks: {
      setCursor: [
        (plot) => {
          const { idx, left } = plot.cursor;
          onHover(idx === null || idx === undefined || (left ?? -1) < 0 ? null : idx);
        },
      ],
    },
  };
}

function alone(plot: uPlot, series: number): number[] | null {
  const values = plot.data[series] ?? [];
  const isGap = (index: number): boolean => values[index] === null || values[index] === undefined;
  const found = [...values.keys()].filter((index) => !isGap(index) && isGap(index - 1) && isGap(index + 1));
  return found.length === 0 ? null : found;
}

/** Layers let the grid through. */
const withAlpha = (rgb: string): string => rgb.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.55)');
