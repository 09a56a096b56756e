/** The foot of every page: the guide's warning, and the way to what is said about safety and privacy. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { useGuideText } from './guide-context.tsx';
import { paths } from './paths.ts';

export function Footer(): ReactElement {
  const { t } = useTranslation();
  const warning = useGuideText()('warning');
  return (
    <footer className="mt-16 border-t border-line">
      <div className="mx-auto flex max-w-6xl flex-wrap items-baseline justify-between gap-x-8 gap-y-3 px-4 py-8 text-sm text-soft sm:px-6">
        <p className="max-w-2xl">{warning}</p>
        <Link to={paths.about} className="inline-flex min-h-11 items-center text-leaf underline underline-offset-4">
          {t('nav.about')}
        </Link>
      </div>
    </footer>
  );
}
