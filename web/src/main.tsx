/** The page begins here: its texts, its memory of what the gateway said, its routes; then the service worker. */
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { RouterProvider } from 'react-router/dom';
import { PosternError } from '../../src/errors.ts';
import { createRouter } from './app/routes.tsx';
import { startTexts } from './i18n/i18n.ts';
import './ui/base.css';

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (failures, error) => failures < 2 && !(error instanceof PosternError && !error.retryable),
      refetchOnWindowFocus: false,
      // Without a network the service worker may still know the answer.
      networkMode: 'offlineFirst',
    },
  },
});

// A part of the page that is of an older release than the gateway is gone: the page begins again, once.
addEventListener('vite:preloadError', (event) => {
  const at = `postern.reloaded:${location.pathname}`;
  try {
    if (sessionStorage.getItem(at) !== null) return;
    sessionStorage.setItem(at, '1');
  } catch {
    return;
  }
  event.preventDefault();
  location.reload();
});

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');
await startTexts();
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <RouterProvider router={createRouter()} />
    </QueryClientProvider>
  </StrictMode>,
);

if (import.meta.env.PROD && 'serviceWorker' in navigator) {
  // The page works without it; a browser that refuses it (private windows) only loses the offline start.
  const register = (): void => void navigator.serviceWorker.register('/sw.js').catch(() => undefined);
  // After what the page itself needs; the texts may have been slower than the page's load.
  if (document.readyState === 'complete') register();
  else addEventListener('load', register);
}
