/** How dangerous an entry is, unmistakably: sign, words, colour, and which parts. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import type { Entry } from '../api/guides.ts';
import { useLanguage } from '../i18n/use-language.ts';
import { Icon } from '../ui/icons.tsx';
import { looksOf, useLevel } from './levels.ts';

export function DangerBanner({ danger }: { readonly danger: NonNullable<Entry['danger']> }): ReactElement | null {
  const { t } = useTranslation();
  const lang = useLanguage();
  const level = useLevel(danger.level);
  if (level === null) return null;
  const looks = looksOf(level);
  const parts = danger.parts?.[lang] ?? (level.dangerous ? t('entry.partsUnknown') : null);
  return (
    <section
      aria-label={level.label[lang]}
      className={`mt-5 flex gap-4 rounded-md p-4 sm:p-5 ${level.dangerous ? looks.solid : `border-l-8 ${looks.border} ${looks.wash}`}`}
    >
      <Icon
        name={looks.icon}
        size={level.dangerous ? 48 : 32}
        className={`shrink-0 ${level.dangerous ? '' : looks.text}`}
      />
      <div className="min-w-0">
        <p className={`text-lg leading-tight font-extrabold ${level.dangerous ? 'text-xl' : looks.text}`}>
          {level.label[lang]}
        </p>
        <p className="mt-1 text-sm">{level.meaning[lang]}</p>
        {parts !== null && (
          <p className="mt-2 text-sm">
            <strong>{t('entry.parts')}: </strong>
            {parts}
          </p>
        )}
      </div>
    </section>
  );
}
