/** Every page and the file that it is loaded from: what is not needed for the first page comes when it is. */
import { createBrowserRouter, type RouteObject } from 'react-router';
import { consoleRoute } from '../console/routes.tsx';
import { PageSkeleton } from '../ui/skeleton.tsx';
import { ErrorPage, NotFound } from './error-page.tsx';
import { Layout } from './layout.tsx';

const identify = {
  lazy: async () => ({ Component: (await import('../identify/identify-page.tsx')).IdentifyPage }),
};

const routes: RouteObject[] = [
  consoleRoute,
  {
    element: <Layout />,
    errorElement: <ErrorPage />,
    hydrateFallbackElement: <PageSkeleton />,
    children: [
      {
        errorElement: <ErrorPage />,
        children: [
          { index: true, ...identify },
          { path: 'g/:guide', ...identify },
          {
            path: 'g/:guide/guide',
            lazy: async () => ({ Component: (await import('../guide/entries-page.tsx')).EntriesPage }),
          },
          {
            path: 'g/:guide/guide/:entry',
            lazy: async () => ({ Component: (await import('../guide/entry-page.tsx')).EntryPage }),
          },
          {
            path: 'g/:guide/ranking',
            lazy: async () => ({ Component: (await import('../ranking/ranking-page.tsx')).RankingPage }),
          },
          {
            path: 'g/:guide/mine',
            lazy: async () => ({ Component: (await import('../mine/mine-page.tsx')).MinePage }),
          },
          {
            path: 'g/:guide/mine/:id',
            lazy: async () => ({ Component: (await import('../result/identification-page.tsx')).IdentificationPage }),
          },
          { path: 's/:token', lazy: async () => ({ Component: (await import('../result/share-page.tsx')).SharePage }) },
          { path: 'about', lazy: async () => ({ Component: (await import('../about/about-page.tsx')).AboutPage }) },
          { path: '*', element: <NotFound /> },
        ],
      },
    ],
  },
];

export const createRouter = () => createBrowserRouter(routes);
