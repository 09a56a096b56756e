/** The head of every page: which guide this is (and the way to another), the ways to its parts, search, settings. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, NavLink, useNavigate } from 'react-router';
import { SearchDialog } from '../search/search-dialog.tsx';
import { SearchBox } from '../search/search-box.tsx';
import { useLanguage } from '../i18n/use-language.ts';
import { Icon } from '../ui/icons.tsx';
import { Mark } from '../ui/mark.tsx';
import { Menu, MenuChoices } from '../ui/menu.tsx';
import { useGuide } from './guide-context.tsx';
import { useSections } from './sections.ts';
import { paths } from './paths.ts';
import { SettingsMenu } from './settings-menu.tsx';

export function Header(): ReactElement {
  const { t } = useTranslation();
  const { guide } = useGuide();
  const sections = useSections();
  return (
    <header className="sticky top-0 z-30 border-b border-line bg-paper/95 backdrop-blur">
      <div className="mx-auto flex h-16 max-w-6xl items-center gap-1 px-3 sm:px-6 lg:gap-2">
        <Link to={paths.identify(guide.id)} className="rounded-md p-1" aria-label={t('app.name')}>
          <Mark />
        </Link>
        <GuideSwitcher />
        <nav aria-label={t('nav.label')} className="ml-4 hidden lg:block">
          <ul className="flex">
            {sections.map(({ key, to, end, label }) => (
              <li key={key}>
                <NavLink
                  to={to}
                  end={end}
                  className="flex min-h-11 items-center rounded-md px-3 text-sm font-semibold text-soft no-underline hover:text-ink aria-[current=page]:text-ink aria-[current=page]:underline aria-[current=page]:decoration-lichen-deep aria-[current=page]:decoration-4 aria-[current=page]:underline-offset-8"
                >
                  {label}
                </NavLink>
              </li>
            ))}
          </ul>
        </nav>
        <div className="ml-auto hidden w-72 md:block xl:w-80">
          <SearchBox shortcut />
        </div>
        <div className="ml-auto md:hidden">
          <SearchDialog />
        </div>
        <SettingsMenu />
      </div>
    </header>
  );
}

function GuideSwitcher(): ReactElement {
  const { t } = useTranslation();
  const { guide, guides } = useGuide();
  const lang = useLanguage();
  const navigate = useNavigate();
  const title = <span className="truncate text-base font-bold tracking-tight">{guide.title[lang]}</span>;
  if (guides.length < 2) return <div className="min-w-0 px-2">{title}</div>;
  return (
    <Menu
      align="start"
      trigger={
        <button
          type="button"
          className="flex min-h-11 min-w-0 items-center gap-1.5 rounded-md px-2 hover:bg-sunk"
          aria-label={`${t('nav.guides')}: ${guide.title[lang]}`}
        >
          {title}
          <Icon name="down" size={16} />
        </button>
      }
    >
      <MenuChoices
        label={t('nav.guides')}
        value={guide.id}
        choices={guides.map(({ id, title: name }) => ({ value: id, label: name[lang] }))}
        onChange={(id) => void navigate(paths.identify(id))}
      />
    </Menu>
  );
}
