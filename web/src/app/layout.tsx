/** What surrounds every page. */
import type { ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { Outlet, ScrollRestoration } from 'react-router';
import { JobsProvider } from '../jobs/jobs-provider.tsx';
import { Toasts } from '../jobs/toasts.tsx';
import { Connectivity } from './connectivity.tsx';
import { Footer } from './footer.tsx';
import { GuideProvider } from './guide-context.tsx';
import { Header } from './header.tsx';
import { Tabs } from './tabs.tsx';

export function Layout(): ReactElement {
  const { t } = useTranslation();
  return (
    <GuideProvider>
      <JobsProvider>
        <a
          href="#main"
          className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50 focus:rounded-md focus:bg-leaf focus:px-4 focus:py-3 focus:text-on-leaf"
        >
          {t('app.skip')}
        </a>
        <Connectivity />
        <div className="flex min-h-dvh flex-col pb-[calc(4rem+env(safe-area-inset-bottom))] lg:pb-0">
          <Header />
          <main id="main" tabIndex={-1} className="mx-auto w-full max-w-6xl grow px-4 sm:px-6">
            <Outlet />
          </main>
          <Footer />
        </div>
        <Tabs />
        <Toasts />
        <ScrollRestoration />
      </JobsProvider>
    </GuideProvider>
  );
}
