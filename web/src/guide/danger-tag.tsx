/** The level of danger of an entry in a word and a sign. Nothing is shown in a guide without levels. */
import type { ReactElement } from 'react';
import { useLanguage } from '../i18n/use-language.ts';
import { Icon } from '../ui/icons.tsx';
import { looksOf, useLevel } from './levels.ts';

export function DangerTag({
  level: id,
  size = 'small',
}: {
  readonly level: string | null | undefined;
  readonly size?: 'small' | 'large';
}): ReactElement | null {
  const level = useLevel(id);
  const lang = useLanguage();
  if (level === null) return null;
  const looks = looksOf(level);
  const room = size === 'large' ? 'px-2.5 py-1 text-sm' : 'px-1.5 py-0.5 text-xs';
  return (
    <span
      className={`inline-flex max-w-full items-center gap-1 rounded-sm font-semibold ${room} ${looks.text} ${looks.wash}`}
    >
      <Icon name={looks.icon} size={size === 'large' ? 20 : 15} className="shrink-0" />
      <span className="min-w-0">{level.label[lang]}</span>
    </span>
  );
}
