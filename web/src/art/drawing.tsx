/** The drawing of an entry (see `plate.ts`), as an image with its name or as an ornament without one. */
import { memo, useMemo, type ReactElement } from 'react';
import type { EntrySummary } from '../api/guides.ts';
import { draw, HEIGHT, OFFSET, WIDTH } from './plate.ts';

export interface DrawingProps {
  readonly entry: Pick<EntrySummary, 'id' | 'drawing'>;
  readonly className?: string;
  /** What it shows, for those who do not see it; without one it is an ornament. */
  readonly label?: string;
}

export const Drawing = memo(function Drawing({ entry, className = '', label }: DrawingProps): ReactElement {
  const { flats, lines } = useMemo(() => draw(entry.id, entry.drawing ?? null), [entry.id, entry.drawing]);
  return (
    <svg
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      className={className}
      {...(label === undefined ? { 'aria-hidden': true } : { role: 'img', 'aria-label': label })}
      focusable="false"
    >
      <g stroke="var(--drawing-ink)" strokeLinecap="round" strokeLinejoin="round">
        {lines.map(({ d, weight, covers }, index) => (
          <path key={index} d={d} strokeWidth={weight} fill={covers ? 'var(--plate)' : 'none'} />
        ))}
      </g>
      <g transform={`translate(${OFFSET.x} ${OFFSET.y})`} className="drawing-flats">
        {flats.map(({ d, fill }, index) => (
          <path key={index} d={d} fill={fill} />
        ))}
      </g>
    </svg>
  );
});
