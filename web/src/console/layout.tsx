/** What surrounds the console's pages: the ways between them, how the gateway is, and whether the view is live. */
import { useEffect, useState, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, NavLink, Outlet, ScrollRestoration } from 'react-router';
import { SettingsMenu } from '../app/settings-menu.tsx';
import { useLanguage } from '../i18n/use-language.ts';
import { Icon, type IconName } from '../ui/icons.tsx';
import { Mark } from '../ui/mark.tsx';
import './console.css';
import { moment } from './format.ts';
import { LiveProvider, useLive } from './live.tsx';
import { SmallButton } from './parts/controls.tsx';
import { Notices } from './parts/notices.tsx';
import { Pill, type Tone } from './parts/pill.tsx';
import { SessionProvider, useSession } from './session.tsx';

const SECTIONS = [
  { key: 'overview', to: '/console', end: true, icon: 'chart' },
  { key: 'workers', to: '/console/workers', end: false, icon: 'server' },
  { key: 'models', to: '/console/models', end: false, icon: 'layers' },
  { key: 'jobs', to: '/console/jobs', end: false, icon: 'clock' },
  { key: 'keys', to: '/console/keys', end: false, icon: 'key' },
  { key: 'audit', to: '/console/audit', end: false, icon: 'list' },
] as const satisfies readonly { key: string; to: string; end: boolean; icon: IconName }[];

export function ConsoleLayout(): ReactElement {
  return (
    <div className="console">
      <SessionProvider>
        <LiveProvider>
          <Notices>
            <Frame />
          </Notices>
        </LiveProvider>
      </SessionProvider>
      <ScrollRestoration />
    </div>
  );
}

function Frame(): ReactElement {
  const { t } = useTranslation('console');
  const { t: ofApp } = useTranslation();
  return (
    <>
      <a
        href="#main"
        className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50 focus:rounded-md focus:bg-leaf focus:px-4 focus:py-3 focus:text-on-leaf"
      >
        {ofApp('app.skip')}
      </a>
      <div className="min-h-dvh lg:grid lg:grid-cols-[13rem_minmax(0,1fr)]">
        <nav
          aria-label={t('nav.label')}
          className="fixed inset-x-0 bottom-0 z-30 border-t border-line bg-surface pb-[env(safe-area-inset-bottom)] lg:sticky lg:inset-auto lg:top-0 lg:h-dvh lg:border-t-0 lg:border-r lg:p-3"
        >
          <div className="hidden items-center gap-2.5 px-2 pt-1 pb-4 text-base font-bold tracking-tight lg:flex">
            <Mark size={28} /> Postern
          </div>
          <ul className="grid grid-cols-6 lg:block lg:space-y-0.5">
            {SECTIONS.map(({ key, to, end, icon }) => (
              <li key={key} className="min-w-0">
                <NavLink
                  to={to}
                  end={end}
                  className="flex h-15 flex-col items-center justify-center gap-0.5 px-0.5 text-[0.6875rem] font-semibold text-soft no-underline hover:text-ink aria-[current=page]:text-ink lg:h-9 lg:flex-row lg:justify-start lg:gap-2.5 lg:rounded-md lg:px-2 lg:text-sm lg:hover:bg-sunk lg:aria-[current=page]:bg-leaf-wash lg:aria-[current=page]:text-leaf"
                >
                  <Icon name={icon} size={18} />
                  <span className="max-w-full truncate">{t(`nav.${key}`)}</span>
                </NavLink>
              </li>
            ))}
          </ul>
          <ul className="mt-6 hidden space-y-0.5 border-t border-line pt-3 text-xs lg:block">
            <li>
              <Link to="/" className="flex h-8 items-center px-2 text-soft no-underline hover:text-ink">
                {t('toGuide')}
              </Link>
            </li>
            <li>
              <a href="/docs" className="flex h-8 items-center px-2 text-soft no-underline hover:text-ink">
                {t('apiDocs')}
              </a>
            </li>
          </ul>
        </nav>
        <div className="min-w-0 pb-24 lg:pb-8">
          <Top />
          <Banners />
          <main id="main" tabIndex={-1} className="mx-auto max-w-[90rem] px-3 pt-5 sm:px-6">
            <Outlet />
          </main>
        </div>
      </div>
    </>
  );
}

const LIVE_TONES = { connecting: 'quiet', live: 'good', lost: 'warn' } as const;
const PHASE_TONES: Readonly<Record<string, Tone>> = {
  ready: 'good',
  draining: 'warn',
  starting: 'busy',
  standby: 'quiet',
};

function Top(): ReactElement {
  const { t } = useTranslation('console');
  const { status, snapshot } = useLive();
  const { who, signOut } = useSession();
  const phase = snapshot?.gateway.phase;
  return (
    <header className="sticky top-0 z-20 flex h-13 items-center gap-2 border-b border-line bg-paper/95 px-3 backdrop-blur sm:px-6">
      <div className="flex min-w-0 items-center gap-2 lg:hidden">
        <Mark size={24} />
        <span className="hidden font-bold sm:inline">Postern</span>
      </div>
      <span role="status" className="contents">
        <Pill tone={LIVE_TONES[status]}>{t(`live.${status}`)}</Pill>
      </span>
      {phase !== undefined && phase !== 'ready' && (
        <Pill tone={PHASE_TONES[phase] ?? 'quiet'}>{isPhase(phase) ? t(`phase.${phase}`) : phase}</Pill>
      )}
      <div className="ml-auto flex min-w-0 items-center gap-1">
        {who.key !== null && (
          <span className="hidden max-w-40 truncate text-xs text-soft sm:inline">{who.key.name}</span>
        )}
        {who.session !== null && (
          <SmallButton tone="quiet" onClick={() => void signOut()}>
            {t('signOut')}
          </SmallButton>
        )}
        <SettingsMenu />
      </div>
    </header>
  );
}

const PHASES = ['starting', 'ready', 'draining', 'standby'] as const;
const isPhase = (text: string): text is (typeof PHASES)[number] => (PHASES as readonly string[]).includes(text);

/** What everybody who is here should know. */
function Banners(): ReactElement | null {
  const { t } = useTranslation('console');
  const lang = useLanguage();
  const { snapshot, now } = useLive();
  const { who } = useSession();
  const isLong = useLongCut();
  const fault = snapshot?.gateway.fault ?? null;
  if (fault === null && !isLong && who.key !== null) return null;
  return (
    <aside aria-label={t('banners')}>
      {fault !== null && (
        <p
          role="alert"
          className="border-b border-line bg-deadly-wash px-3 py-2 text-sm font-semibold text-deadly sm:px-6"
        >
          {t('fault', { fault })}
        </p>
      )}
      {isLong && snapshot !== null && (
        <p className="border-b border-line bg-harm-wash px-3 py-2 text-sm text-harm sm:px-6">
          {t('live.lostLong', { when: moment(lang, now) })}
        </p>
      )}
      {who.key === null && (
        <p className="border-b border-line bg-leaf-wash px-3 py-2 text-sm sm:px-6">
          {t('noKeys')}{' '}
          <Link to="/console/keys?new=1" className="font-semibold text-leaf underline">
            {t('makeFirstKey')}
          </Link>
        </p>
      )}
    </aside>
  );
}

/** A release or a short cut is over before anybody needs to know. */
const LONG_MS = 4_000;

function useLongCut(): boolean {
  const { status } = useLive();
  const [isLong, setLong] = useState(false);
  useEffect(() => {
    if (status !== 'lost') return undefined;
    const timer = setTimeout(() => setLong(true), LONG_MS);
    return () => {
      clearTimeout(timer);
      setLong(false);
    };
  }, [status]);
  return isLong;
}
