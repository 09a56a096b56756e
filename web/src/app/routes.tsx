/** Every page and the file that it is loaded from: what is not needed for the first page comes when it is. */
import { createBrowserRouter, type RouteObject } from 'react-router';
import { PageSkeleton } from '../ui/skeleton.tsx';
import { ErrorPage, NotFound } from './error-page.tsx';
import { Layout } from './layout.tsx';

const routes: RouteObject[] = [
  {
    element: <Layout />,
    errorElement: <ErrorPage />,
    hydrateFallbackElement: <PageSkeleton />,
    children: [
      {
        errorElement: <ErrorPage />,
        children: [
          {
            index: true,
            lazy: async () => ({ Component: (await import('../identify/identify-page.tsx')).IdentifyPage }),
          },
          {
            path: 'g/:guide',
            lazy: async () => ({ Component: (await import('../identify/identify-page.tsx')).IdentifyPage }),
          },
          {
            path: 'g/:guide/guide',
            lazy: async () => ({ Component: (await import('../guide/entries-page.tsx')).EntriesPage }),
          },
          {
            path: 'g/:guide/guide/:entry',
            lazy: async () => ({ Component: (await import('../guide/entry-page.tsx')).EntryPage }),
          },
          { path: '*', element: <NotFound /> },
        ],
      },
    ],
  },
];

export const createRouter = () => createBrowserRouter(routes);
