/** Icons on a grid of 24, drawn with one weight of line. They are never alone: a word stands beside, or a label inside. */
import type { ReactElement, SVGProps } from 'react';

const PATHS = {
  camera: 'M4 8h3l1.6-2.4h6.8L17 8h3v11.5H4zM12 17a3.6 3.6 0 1 0 0-7.2 3.6 3.6 0 0 0 0 7.2z',
  photo: 'M4 5h16v14H4zM4 16l4.5-5 4 4.2 3-2.7 4.5 4.3M15.6 9.2h.01',
  book: 'M12 6.2C10 4.8 7.4 4.4 4 4.6v13.6c3.4-.2 6 .2 8 1.6 2-1.4 4.6-1.8 8-1.6V4.6c-3.4-.2-6 .2-8 1.6zm0 0v13.6',
  chart: 'M4.5 20V11h4v9zm5.5 0V4h4v16zm5.5 0v-6h4v6z',
  clock: 'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM12 7v5.2l3.4 2',
  search: 'M10.6 17.2a6.6 6.6 0 1 0 0-13.2 6.6 6.6 0 0 0 0 13.2zM15.5 15.5 20.5 20.5',
  close: 'M6 6l12 12M18 6 6 18',
  plus: 'M12 5v14M5 12h14',
  check: 'M5 12.8l4.5 4.5L19 7',
  more: 'M5.5 12h.01M12 12h.01M18.5 12h.01',
  back: 'M14.5 5.5 8 12l6.5 6.5',
  next: 'M9.5 5.5 16 12l-6.5 6.5',
  down: 'M5.5 9.5 12 16l6.5-6.5',
  bell: 'M6.5 16.5V11a5.5 5.5 0 0 1 11 0v5.5l1.5 1.5h-14zM10.2 20.5h3.6',
  share: 'M12 14.5V4M8 7.5 12 3.5l4 4M5.5 12v8h13v-8',
  trash: 'M5 7h14M9.5 7V4.5h5V7M7 7l.8 12.5h8.4L17 7M10.5 10.5v5.5M13.5 10.5v5.5',
  retry: 'M19 12a7 7 0 1 1-2.3-5.2M19 4v4h-4',
  offline:
    'M4 4l16 16M8.2 14.2a6 6 0 0 1 5-1.3M5 10.7a10.5 10.5 0 0 1 4-2.2M19 10.7a10.5 10.5 0 0 0-6.5-2.9M12 18.5h.01',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 3v1.5M12 19.5V21M3 12h1.5M19.5 12H21M5.6 5.6l1.1 1.1M17.3 17.3l1.1 1.1M5.6 18.4l1.1-1.1M17.3 6.7l1.1-1.1',
  moon: 'M19.5 14.2A8 8 0 0 1 9.8 4.5a8 8 0 1 0 9.7 9.7z',
  screen: 'M3.5 5h17v11.5h-17zM9 20h6M12 16.5V20',
  globe:
    'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM3.5 12h17M12 3.5c2.5 2.5 3.6 5.3 3.6 8.5s-1.1 6-3.6 8.5c-2.5-2.5-3.6-5.3-3.6-8.5s1.1-6 3.6-8.5z',
  info: 'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM12 11v5.5M12 7.6h.01',
  link: 'M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1',
  server: 'M4 4.5h16v6H4zM4 13.5h16v6H4zM7.5 7.5h.01M7.5 16.5h.01',
  key: 'M8 20a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM10.8 13.2 20 4M16.5 7.5l3 3M13.6 10.4l2.2 2.2',
  list: 'M9 6h11M9 12h11M9 18h11M4.5 6h.01M4.5 12h.01M4.5 18h.01',
  layers: 'M12 4l8.5 4.5L12 13 3.5 8.5zM4 12.5l8 4.3 8-4.3M4 16.3l8 4.2 8-4.2',
  // Levels of danger, from the worst: each its own outline, so that they differ without colour too.
  skull:
    'M12 3.5c-4.4 0-7.5 3-7.5 7 0 2.6 1.2 4.4 3 5.5v3.5h9V16c1.8-1.1 3-2.9 3-5.5 0-4-3.1-7-7.5-7zM9.2 12.2a1.3 1.3 0 1 0 0-2.6 1.3 1.3 0 0 0 0 2.6zM14.8 12.2a1.3 1.3 0 1 0 0-2.6 1.3 1.3 0 0 0 0 2.6zM10.4 19.5v-2.4M13.6 19.5v-2.4',
  warning: 'M12 4 21 19.5H3zM12 10v4.7M12 17.2h.01',
  mouth:
    'M3.5 12c2.5-4 5-5.5 6.5-5.5.9 0 1.4.6 2 .6s1.1-.6 2-.6c1.5 0 4 1.5 6.5 5.5-2.5 4-5.2 6-8.5 6s-6-2-8.5-6zM3.5 12h17',
  hand: 'M8 12.5V6a1.4 1.4 0 0 1 2.8 0v5M10.8 10.5V4.6a1.4 1.4 0 0 1 2.8 0v6M13.6 10.8V5.8a1.4 1.4 0 0 1 2.8 0v7.5c0 4.2-1.9 7.2-5.4 7.2-2.9 0-4.2-1.7-6.3-5.8-.5-1 .9-2.2 1.9-1.2L8 15',
  leaf: 'M5 19C4 10 9.5 4.5 19.5 4.5 20 14 14.5 19.5 7.5 17.5M5 19c2-4.5 5-7.5 9-9.5',
  question: 'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM9.5 9.7A2.6 2.6 0 1 1 12 12.8v1.2M12 16.8h.01',
} as const;

export type IconName = keyof typeof PATHS;

export interface IconProps extends Omit<SVGProps<SVGSVGElement>, 'name'> {
  readonly name: IconName;
  /** Side in pixels; 20 by default. */
  readonly size?: number;
}

export function Icon({ name, size = 20, ...rest }: IconProps): ReactElement {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.75}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
      {...rest}
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
