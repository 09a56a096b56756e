/** What went wrong, in words that help, with the code for whoever is asked about it, and a way on. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { PosternError } from '../../../src/errors.ts';
import { PageHeading } from '../app/page-heading.tsx';
import { Button, ButtonLink } from './button.tsx';
import { Icon } from './icons.tsx';

export interface ProblemProps {
  readonly error: unknown;
  readonly onRetry?: () => void;
  /** Is it all that the page has? Then it needs a heading and a way home. */
  readonly page?: boolean;
}

export function Problem({ error, onRetry, page = false }: ProblemProps): ReactElement {
  const { t } = useTranslation();
  const text = useProblemText(error);
  const code = error instanceof PosternError ? error.code : null;
  const missing = code?.endsWith('not_found') === true;
  const title = missing ? t('problem.notFoundTitle') : t('problem.title');
  return (
    <section role="alert" className={page ? 'mx-auto max-w-xl px-4 py-16 sm:px-6' : 'py-6'}>
      <div className="rounded-lg border border-line bg-surface p-6">
        <Icon name={missing ? 'question' : code === 'unreachable' ? 'offline' : 'warning'} size={32} />
        {page ? (
          <PageHeading title={title} className="mt-3 text-xl">
            {title}
          </PageHeading>
        ) : (
          <p className="mt-3 font-semibold">{t('problem.title')}</p>
        )}
        <p className="mt-2 text-soft">{missing && page ? t('problem.notFound') : text}</p>
        {code !== null && <p className="mt-2 text-xs text-soft">{t('problem.code', { code })}</p>}
        <div className="mt-5 flex flex-wrap gap-3">
          {onRetry && !missing && (
            <Button tone="solid" icon="retry" onClick={onRetry}>
              {t('problem.retry')}
            </Button>
          )}
          {page && <ButtonLink to="/">{t('problem.home')}</ButtonLink>}
        </div>
      </div>
    </section>
  );
}

/** The page's own words for a code where it has them, else what the gateway said. */
export function useProblemText(error: unknown): string {
  const { t } = useTranslation();
  if (!(error instanceof PosternError)) return t('problem.crash');
  if (error.code === 'unreachable') return t('problem.unreachable');
  return error.message;
}
