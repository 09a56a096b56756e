/** The mark: a small arched gate with something growing in it. */
import type { ReactElement } from 'react';

export const Mark = ({ size = 34 }: { readonly size?: number }): ReactElement => (
  <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <path d="M4 30V15a12 12 0 0 1 24 0v15z" fill="var(--leaf)" />
    <path
      d="M16 27V15.5M16 21.5c-4.8 0-6.8-2.6-6.8-6.3 4.3 0 6.8 2.1 6.8 6.3zM16 16.8c0-4.2 2.3-6.6 6.4-6.6 0 4-2 6.6-6.4 6.6z"
      fill="var(--lichen)"
      stroke="var(--leaf)"
      strokeWidth="0"
    />
    <path d="M16 27V15.5" stroke="var(--lichen)" strokeWidth="1.8" strokeLinecap="round" />
  </svg>
);
