/** Levels of danger as they are shown: each with a sign of its own, so that they differ without colour. */
import type { Level } from '../api/guides.ts';
import { useGuide } from '../app/guide-context.tsx';
import type { IconName } from '../ui/icons.tsx';

export type Sign = NonNullable<Level['sign']>;

export interface Looks {
  readonly icon: IconName;
  /** Text on the paper, on a surface, or on its own wash. */
  readonly text: string;
  readonly wash: string;
  readonly border: string;
  /** Ground and text where it must not be overlooked. */
  readonly solid: string;
}

export const LOOKS: Readonly<Record<Sign, Looks>> = {
  skull: {
    icon: 'skull',
    text: 'text-deadly',
    wash: 'bg-deadly-wash',
    border: 'border-deadly',
    solid: 'bg-deadly-solid text-white',
  },
  warning: {
    icon: 'warning',
    text: 'text-danger',
    wash: 'bg-danger-wash',
    border: 'border-danger',
    solid: 'bg-danger-solid text-white',
  },
  mouth: {
    icon: 'mouth',
    text: 'text-harm',
    wash: 'bg-harm-wash',
    border: 'border-harm',
    solid: 'bg-harm-wash text-ink',
  },
  hand: {
    icon: 'hand',
    text: 'text-irritant',
    wash: 'bg-irritant-wash',
    border: 'border-irritant',
    solid: 'bg-irritant-wash text-ink',
  },
  leaf: {
    icon: 'leaf',
    text: 'text-calm',
    wash: 'bg-calm-wash',
    border: 'border-calm',
    solid: 'bg-calm-wash text-ink',
  },
  question: {
    icon: 'question',
    text: 'text-unknown',
    wash: 'bg-unknown-wash',
    border: 'border-unknown',
    solid: 'bg-unknown-wash text-ink',
  },
};

/** A guide that names no sign gets the warning for what is dangerous, and the question mark for all else. */
export const looksOf = (level: Level): Looks => LOOKS[level.sign ?? (level.dangerous ? 'warning' : 'question')];

export function useLevel(id: string | null | undefined): Level | null {
  const { guide } = useGuide();
  return guide.levels.find((level) => level.id === id) ?? null;
}
