/**
 * Writes `sw.js`, the service worker that keeps the app's own files: `src/shell-worker.js` with the list of what this
 * build made, and a version that changes when any of it does.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plugin } from 'vite';

const SOURCE = join(import.meta.dirname, '../src/shell-worker.js');
const PUBLIC = join(import.meta.dirname, '../public');

export function shellWorker(): Plugin {
  return {
    name: 'shell-worker',
    apply: 'build',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        // The console is for those who run the service; nobody else should load it in advance.
        const built = Object.keys(bundle).filter((name) => !/console|\.map$/.test(name));
        const own = readdirSync(PUBLIC, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath, entry.name).slice(PUBLIC.length + 1));
        const files = ['/', ...[...built, ...own].filter((name) => name !== 'index.html').map((name) => `/${name}`)];
        const hash = createHash('sha256');
        for (const [name, output] of Object.entries(bundle)) {
          hash.update(name).update(output.type === 'chunk' ? output.code : output.source);
        }
        for (const name of own) hash.update(readFileSync(join(PUBLIC, name)));
        const source = readFileSync(SOURCE, 'utf8')
          .replace('__VERSION__', hash.digest('hex').slice(0, 12))
          .replace("['__FILES__']", JSON.stringify(files.sort()));
        this.emitFile({ type: 'asset', fileName: 'sw.js', source });
      },
    },
  };
}
