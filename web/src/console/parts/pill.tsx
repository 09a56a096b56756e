/** A state in a word, with a sign of its own form, so that it is told without colour too. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';

export type Tone = 'good' | 'busy' | 'warn' | 'bad' | 'quiet';

const TONES: Readonly<Record<Tone, string>> = {
  good: 'bg-calm-wash text-calm',
  busy: 'bg-leaf-wash text-leaf',
  warn: 'bg-harm-wash text-harm',
  bad: 'bg-deadly-wash text-deadly',
  quiet: 'bg-unknown-wash text-unknown',
};

/** On a grid of 10: a full circle, a half one, a triangle, a cross, a ring. */
const SIGNS: Readonly<Record<Tone, string>> = {
  good: 'M5 1.2a3.8 3.8 0 1 0 0 7.6 3.8 3.8 0 0 0 0-7.6z',
  busy: 'M5 .8a4.2 4.2 0 1 0 0 8.4 4.2 4.2 0 0 0 0-8.4zm0 1.3v5.8a2.9 2.9 0 0 1 0-5.8z',
  warn: 'M5 .8 9.5 9H.5z',
  bad: 'M2.3 1 5 3.7 7.7 1 9 2.3 6.3 5 9 7.7 7.7 9 5 6.3 2.3 9 1 7.7 3.7 5 1 2.3z',
  quiet: 'M5 .8a4.2 4.2 0 1 0 0 8.4 4.2 4.2 0 0 0 0-8.4zm0 1.4a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 0 1 0-5.6z',
};

export function Pill({ tone, children }: { readonly tone: Tone; readonly children: string }): ReactElement {
  return (
    <span
      className={`inline-flex items-center gap-1.5 rounded-full px-2 py-0.5 text-xs font-semibold whitespace-nowrap ${TONES[tone]}`}
    >
      <svg width="9" height="9" viewBox="0 0 10 10" fill="currentColor" fillRule="evenodd" aria-hidden="true">
        <path d={SIGNS[tone]} />
      </svg>
      {children}
    </span>
  );
}

const STATES = {
  connected: 'good',
  ready: 'good',
  active: 'good',
  succeeded: 'good',
  processing: 'busy',
  loading: 'busy',
  warming: 'busy',
  starting: 'quiet',
  invited: 'quiet',
  joined: 'quiet',
  unloaded: 'quiet',
  stored: 'quiet',
  expired: 'quiet',
  canceled: 'quiet',
  draining: 'warn',
  canceling: 'warn',
  aborted: 'warn',
  away: 'bad',
  failed: 'bad',
  revoked: 'bad',
  locked: 'bad',
} as const satisfies Readonly<Record<string, Tone>>;

type Known = keyof typeof STATES;

/** A state of a worker, model, job or key as the gateway names it; one that we do not know is shown as it came. */
export function StatePill({ state }: { readonly state: string }): ReactElement {
  const { t } = useTranslation('console');
  if (!Object.hasOwn(STATES, state)) return <Pill tone="quiet">{state}</Pill>;
  const known = state as Known;
  return <Pill tone={STATES[known]}>{t(`state.${known}`)}</Pill>;
}
