/** The console's pages, each loaded when it is opened; its texts come with the first. */
import type { RouteObject } from 'react-router';
import { ErrorPage, NotFound } from '../app/error-page.tsx';
import { PageSkeleton } from '../ui/skeleton.tsx';
import { loadConsoleTexts } from './texts/load.ts';

export const consoleRoute: RouteObject = {
  path: 'console',
  errorElement: <ErrorPage />,
  hydrateFallbackElement: <PageSkeleton />,
  lazy: async () => {
    const [{ ConsoleLayout }] = await Promise.all([import('./layout.tsx'), loadConsoleTexts()]);
    return { Component: ConsoleLayout };
  },
  children: [
    {
      errorElement: <ErrorPage />,
      children: [
        { index: true, lazy: async () => ({ Component: (await import('./pages/overview.tsx')).Overview }) },
        { path: 'workers', lazy: async () => ({ Component: (await import('./pages/workers.tsx')).Workers }) },
        { path: 'models', lazy: async () => ({ Component: (await import('./pages/models.tsx')).Models }) },
        { path: 'jobs', lazy: async () => ({ Component: (await import('./pages/jobs.tsx')).Jobs }) },
        { path: 'keys', lazy: async () => ({ Component: (await import('./pages/keys.tsx')).Keys }) },
        { path: 'audit', lazy: async () => ({ Component: (await import('./pages/audit.tsx')).Audit }) },
        { path: '*', element: <NotFound /> },
      ],
    },
  ],
};
