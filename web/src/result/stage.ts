/** What happens with an identification now, in words, and how far it is. */
import { useTranslation } from 'react-i18next';
import type { Identification } from '../api/identifications.ts';
import { useLanguage } from '../i18n/use-language.ts';

export interface Stage {
  readonly text: string;
  /** null: nobody knows. */
  readonly fraction: number | null;
}

export function useStage(identification: Identification | null): Stage {
  const { t } = useTranslation();
  const lang = useLanguage();
  if (identification === null) return { text: t('stage.waiting'), fraction: null };
  const { status, worker, progress } = identification;
  if (status === 'decided') return { text: t('stage.decided'), fraction: 1 };
  if (worker?.state === 'away' || worker?.state === 'never') {
    const at = worker.last_seen_at;
    if (at === null) return { text: t('stage.never'), fraction: null };
    const time = new Intl.DateTimeFormat(lang, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(at));
    return { text: t('stage.away', { time }), fraction: null };
  }
  if (status === 'processing') {
    const several = progress !== null && progress.of > 1;
    return {
      text: several
        ? t('stage.lookingAt', { n: Math.min(progress.done + 1, progress.of), of: progress.of })
        : t('stage.looking'),
      fraction:
        progress !== null && (several || progress.fraction !== null)
          ? (progress.fraction ?? progress.done / progress.of)
          : null,
    };
  }
  if (worker?.state === 'busy') return { text: t('stage.busy'), fraction: null };
  const before = progress?.queue_position ?? 0;
  return { text: before > 0 ? t('stage.queue', { count: before }) : t('stage.waiting'), fraction: null };
}
