/** The parts of the guide at the lower edge of a phone, where a thumb is. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { NavLink } from 'react-router';
import { Icon } from '../ui/icons.tsx';
import { useSections } from './sections.ts';

export function Tabs(): ReactElement {
  const { t } = useTranslation();
  const sections = useSections();
  return (
    <nav
      aria-label={t('nav.label')}
      className="fixed inset-x-0 bottom-0 z-30 border-t border-line bg-surface pb-[env(safe-area-inset-bottom)] lg:hidden"
    >
      <ul className="mx-auto grid max-w-lg grid-cols-4">
        {sections.map(({ key, to, end, icon, label }) => (
          <li key={key}>
            <NavLink
              to={to}
              end={end}
              className="group flex h-16 flex-col items-center justify-center gap-0.5 text-xs font-semibold text-soft no-underline aria-[current=page]:text-ink"
            >
              <span className="flex h-8 w-14 items-center justify-center rounded-full group-aria-[current=page]:bg-lichen group-aria-[current=page]:text-on-lichen">
                <Icon name={icon} size={22} />
              </span>
              {label}
            </NavLink>
          </li>
        ))}
      </ul>
    </nav>
  );
}
