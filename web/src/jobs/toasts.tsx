/** What was decided while somebody read something else: said in the corner until it is looked at or put away. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useLocation } from 'react-router';
import { paths } from '../app/paths.ts';
import { useLanguage } from '../i18n/use-language.ts';
import { headline } from '../result/headline.ts';
import { IconButton } from '../ui/button.tsx';
import { Icon } from '../ui/icons.tsx';
import { useJobList, useJobs } from './jobs-provider.tsx';

const MAX_SHOWN = 3;

export function Toasts(): ReactElement {
  const { t } = useTranslation();
  const lang = useLanguage();
  const jobs = useJobs();
  const { pathname } = useLocation();
  const decided = useJobList().filter(
    ({ phase, guide, id }) => phase === 'decided' && id !== null && pathname !== paths.identification(guide, id),
  );
  return (
    <div
      role="status"
      className="pointer-events-none fixed inset-x-0 bottom-[calc(4.75rem+env(safe-area-inset-bottom))] z-40 flex flex-col items-center gap-2 px-3 lg:right-6 lg:bottom-6 lg:left-auto lg:items-end"
    >
      {decided.slice(-MAX_SHOWN).map(({ key, id, guide, identification }) => {
        const outcome = identification?.outcome ?? null;
        const { title, detail } = headline(outcome, lang, t);
        const dangerous = outcome?.type !== 'failed' && outcome?.danger?.verdict === 'dangerous';
        return (
          <div
            key={key}
            className="toast come pointer-events-auto flex w-full max-w-md items-center gap-3 rounded-lg border border-line bg-surface p-2 pl-4 shadow-high"
          >
            <Icon
              name={dangerous ? 'warning' : 'check'}
              size={26}
              className={`shrink-0 ${dangerous ? 'text-danger' : 'text-leaf'}`}
            />
            <Link
              to={paths.identification(guide, id ?? '')}
              className="min-w-0 grow py-2 text-ink no-underline hover:underline"
            >
              <strong className="block leading-snug">{t('job.done', { name: title })}</strong>
              <span className="block text-sm text-soft">{detail || t('job.show')}</span>
            </Link>
            <IconButton icon="close" label={t('app.close')} onClick={() => void jobs.seen(id ?? '')} />
          </div>
        );
      })}
    </div>
  );
}
