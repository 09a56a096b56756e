/** How far something is; without a number it only says that something goes on. */
import type { ReactElement } from 'react';

export interface ProgressProps {
  readonly label: string;
  /** From 0 to 1; null: nobody knows. */
  readonly fraction: number | null;
  readonly className?: string;
}

export function Progress({ label, fraction, className = '' }: ProgressProps): ReactElement {
  const percent = fraction === null ? null : Math.round(Math.min(1, Math.max(0, fraction)) * 100);
  return (
    <div
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      {...(percent === null ? {} : { 'aria-valuenow': percent })}
      className={`h-2 overflow-hidden rounded-full bg-sunk ${className}`}
    >
      <div
        className={
          percent === null
            ? 'passing h-full w-1/3 rounded-full bg-leaf'
            : 'h-full rounded-full bg-leaf transition-[width]'
        }
        style={percent === null ? undefined : { width: `${Math.max(4, percent)}%` }}
      />
    </div>
  );
}
