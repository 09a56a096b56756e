import { readFileSync } from 'node:fs';

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

export const VERSION: string = manifest.version;
/** How a process introduces itself to its peer. */
export const AGENT = `postern/${VERSION} node/${process.versions.node}`;
