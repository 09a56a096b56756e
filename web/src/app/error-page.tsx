/** Shown in place of a page that broke, and for addresses that do not exist. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { isRouteErrorResponse, useRouteError } from 'react-router';
import { PosternError } from '../../../src/errors.ts';
import { Button } from '../ui/button.tsx';
import { Problem } from '../ui/problem.tsx';
import { PageHeading } from './page-heading.tsx';

export function NotFound(): ReactElement {
  return <Problem error={new PosternError('not_found', 'There is no such page.')} page />;
}

export function ErrorPage(): ReactElement {
  const { t } = useTranslation();
  const error = useRouteError();
  if (isRouteErrorResponse(error) && error.status === 404) return <NotFound />;
  return (
    <div className="mx-auto max-w-xl px-4 py-16 sm:px-6">
      <PageHeading title={t('problem.title')}>{t('problem.title')}</PageHeading>
      <p className="mt-3 mb-6 text-soft">{t('problem.crash')}</p>
      <Button tone="solid" icon="retry" onClick={() => location.reload()}>
        {t('problem.reload')}
      </Button>
    </div>
  );
}
