/** Builds the pages into `web/dist`, and serves them while they are written (`npm run dev -w web`, beside a gateway). */
import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
import { shellWorker } from './build/shell-worker.ts';

/** Where the gateway listens by default; the addresses that are its own and not a page's. */
const GATEWAY = 'http://127.0.0.1:8080';
const OF_GATEWAY = [
  '/api',
  '/admin',
  '/v1',
  '/v2',
  '/docs',
  '/openapi.json',
  '/readyz',
  '/livez',
  '/metrics',
  '/assets/docs',
];

export default defineConfig({
  root: import.meta.dirname,
  plugins: [react(), tailwindcss(), shellWorker()],
  build: {
    target: 'es2023',
    outDir: 'dist',
    emptyOutDir: true,
    assetsDir: 'app',
    // A data: address in a style sheet would need a hole in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        // By its name the service worker tells what is the console's, and leaves it to those who open it.
        chunkFileNames: ({ moduleIds }) =>
          moduleIds.some((id) => id.includes('/src/console/'))
            ? 'app/console-[name]-[hash].js'
            : 'app/[name]-[hash].js',
      },
    },
  },
  server: {
    host: '127.0.0.1',
    proxy: Object.fromEntries(OF_GATEWAY.map((path) => [path, { target: GATEWAY }])),
  },
});
