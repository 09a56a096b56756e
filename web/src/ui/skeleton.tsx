/** Grey shapes where something will be: nothing jumps when it comes. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';

export const Skeleton = ({ className = '' }: { readonly className?: string }): ReactElement => (
  <div className={`skeleton ${className}`} />
);

/** A page that is on its way. Said to screen readers, and shown after a moment: most pages are there before. */
export function PageSkeleton(): ReactElement {
  const { t } = useTranslation();
  return (
    <div role="status" aria-label={t('app.loading')} className="mx-auto max-w-6xl px-4 py-10 sm:px-6">
      <Skeleton className="h-10 w-3/5 max-w-md" />
      <Skeleton className="mt-4 h-5 w-4/5 max-w-xl" />
      <Skeleton className="mt-10 h-64 w-full" />
    </div>
  );
}
