/**
 * The service worker: keeps the app's own files, so that it opens without a network, and what was last read of the
 * guides. Answers of the API are never made up: without a network they fail, and the page says so.
 */
/* global self, caches, fetch, URL */
const SHELL = 'shell-__VERSION__';
const READ = 'read-1';
const FILES = ['__FILES__'];
/** Pages of the guides that are kept to be read without a network. */
const MAX_READ = 300;

self.addEventListener('install', (event) => {
  // A file that cannot be had must not keep the others out: the next visit fetches it.
  const keep = async () => {
    const cache = await caches.open(SHELL);
    await Promise.all(FILES.map((file) => cache.add(file).catch(() => undefined)));
    await self.skipWaiting();
  };
  event.waitUntil(keep());
});

self.addEventListener('activate', (event) => {
  const clean = async () => {
    for (const name of await caches.keys()) if (name !== SHELL && name !== READ) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(clean());
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== self.location.origin) return;
  if (FILES.includes(url.pathname) && url.pathname !== '/') event.respondWith(kept(request));
  else if (request.mode === 'navigate' && isPage(url.pathname)) event.respondWith(page(request));
  else if (url.pathname.startsWith('/api/guides') && !url.pathname.includes('/ranking')) {
    event.respondWith(freshOrRead(request));
  }
});

/** Addresses of the app; all others (/docs, /metrics, …) are the gateway's own. */
const isPage = (path) => path === '/' || /^\/(g|s)\//.test(path) || path === '/about';

async function kept(request) {
  return (await caches.match(request, { cacheName: SHELL, ignoreVary: true })) ?? fetch(request);
}

async function page(request) {
  try {
    return await fetch(request);
  } catch (error) {
    const shell = await caches.match('/', { cacheName: SHELL, ignoreVary: true });
    if (shell) return shell;
    throw error;
  }
}

async function freshOrRead(request) {
  const cache = await caches.open(READ);
  try {
    const response = await fetch(request);
    if (response.ok) {
      await cache.put(request, response.clone());
      const keys = await cache.keys();
      for (const old of keys.slice(0, Math.max(0, keys.length - MAX_READ))) await cache.delete(old);
    }
    return response;
  } catch (error) {
    const read = await cache.match(request, { ignoreVary: true });
    if (read) return read;
    throw error;
  }
}

/** A click on a notification leads to its identification, in the tab that is open if there is one. */
self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const target = event.notification.data?.path ?? '/';
  const show = async () => {
    const open = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
    for (const client of open) {
      client.postMessage({ type: 'open', path: target });
      return client.focus();
    }
    return self.clients.openWindow(target);
  };
  event.waitUntil(show());
});
