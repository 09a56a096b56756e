/** Numbers, times and sizes as people of either language read them. */
import type { Language } from '../i18n/texts.ts';

const formats = new Map<string, Intl.NumberFormat>();

export function number(lang: Language, value: number, digits = 0): string {
  const key = `${lang} ${digits}`;
  let format = formats.get(key);
  if (!format) formats.set(key, (format = new Intl.NumberFormat(lang, { maximumFractionDigits: digits })));
  return format.format(value);
}

/** Three digits that matter, and no more. */
export function short(lang: Language, value: number): string {
  const size = Math.abs(value);
  return number(lang, value, size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : 2);
}

const UNITS = {
  en: { us: 'µs', ms: 'ms', s: 's', min: 'min', h: 'h' },
  ko: { us: 'µs', ms: 'ms', s: '초', min: '분', h: '시간' },
} as const;

export function duration(lang: Language, ms: number): string {
  const unit = UNITS[lang];
  const gap = lang === 'ko' ? '' : ' ';
  if (ms === 0) return `0 ${unit.ms}`;
  if (ms < 0.1) return `${number(lang, ms * 1000)} ${unit.us}`;
  if (ms < 1_000) return `${short(lang, ms)} ${unit.ms}`;
  if (ms < 120_000) return `${short(lang, ms / 1_000)}${gap}${unit.s}`;
  if (ms < 7_200_000) return `${number(lang, ms / 60_000)}${gap}${unit.min}`;
  return `${number(lang, ms / 3_600_000)}${gap}${unit.h}`;
}

export function bytes(lang: Language, count: number): string {
  if (count < 1_024) return `${number(lang, count)} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = count / 1_024;
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${short(lang, value)} ${units[unit] ?? ''}`;
}

const relative = {
  en: new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' }),
  ko: new Intl.RelativeTimeFormat('ko', { numeric: 'auto', style: 'short' }),
};

const STEPS: readonly (readonly [unit: Intl.RelativeTimeFormatUnit, ms: number])[] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
];

/** `3 min. ago`, `in 5 hr.`: both in epoch ms. */
export function ago(lang: Language, at: number, now: number): string {
  const difference = at - now;
  for (const [unit, ms] of STEPS) {
    if (Math.abs(difference) >= ms || unit === 'second') {
      return relative[lang].format(Math.trunc(difference / ms), unit);
    }
  }
  return '';
}

const moments = {
  en: new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' }),
  ko: new Intl.DateTimeFormat('ko', { dateStyle: 'medium', timeStyle: 'medium', hour12: false }),
};

export const moment = (lang: Language, at: string | number): string => moments[lang].format(new Date(at));

const clocks = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
export const clock = (at: number): string => clocks.format(at);

/** Ids are long; their end tells two of the same minute apart. */
export const shortId = (id: string): string => (id.length > 13 ? `${id.slice(0, 8)}…${id.slice(-4)}` : id);
