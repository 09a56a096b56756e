/** The console's surfaces: a page with its heading, a panel, a figure with its name, and nothing where there is nothing. */
import { useEffect, useRef, type ReactElement, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { setPageTitle } from '../../app/title.ts';
import { Icon, type IconName } from '../../ui/icons.tsx';

/** The first page that is shown is read from its top; only what follows moves the focus. */
let shownBefore = false;

export function ConsolePage({
  title,
  about,
  actions,
  children,
}: {
  readonly title: string;
  readonly about?: string;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}): ReactElement {
  const { t } = useTranslation('console');
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => setPageTitle(`${title} · Postern ${t('name')}`), [title, t]);
  useEffect(() => {
    if (shownBefore) heading.current?.focus();
    shownBefore = true;
  }, []);
  return (
    <>
      <div className="mb-4 flex flex-wrap items-center gap-x-4 gap-y-2">
        <div className="min-w-0 grow">
          <h1 ref={heading} tabIndex={-1} className="text-xl">
            {title}
          </h1>
          {about !== undefined && <p className="mt-1 max-w-3xl text-xs text-soft">{about}</p>}
        </div>
        {actions}
      </div>
      {children}
    </>
  );
}

export function Panel({
  children,
  className = '',
}: {
  readonly children: ReactNode;
  readonly className?: string;
}): ReactElement {
  return <div className={`rounded-md border border-line bg-surface ${className}`}>{children}</div>;
}

export function Empty({
  icon = 'info',
  children,
}: {
  readonly icon?: IconName;
  readonly children: ReactNode;
}): ReactElement {
  return (
    <div className="flex flex-col items-center gap-2 px-6 py-10 text-center text-sm text-soft">
      <Icon name={icon} size={26} />
      <div>{children}</div>
    </div>
  );
}
