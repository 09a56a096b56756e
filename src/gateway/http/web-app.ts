/**
 * The web app that was built into a folder (`npm run build:web`): read once, at start, and served from memory with what was packed at build.
 * Its own addresses are the browser's business: a page that is not a file gets the same first document.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { PosternError } from '../../errors.ts';
import { pageHeaders } from './page-headers.ts';
import type { Answer, Call, Route } from './route.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webp': 'image/webp',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.json': 'application/json; charset=utf-8',
  '.webmanifest': 'application/manifest+json; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
};
/** In the order in which they are preferred. */
const PACKED = [
  ['br', '.br'],
  ['gzip', '.gz'],
] as const;
/** Names in here carry a hash of the content: what is behind one never changes. */
const HASHED = 'app/';
const FOREVER = 'public, max-age=31536000, immutable';
const CHECKED = 'no-cache';
/** It lies in memory. The app is a hundredth of that. */
const MAX_FILES = 2_000;
const MAX_BYTES = 64 * 1024 * 1024;

export interface WebApp {
  readonly routes: readonly Route[];
  /** The first document, for a browser that goes to one of the app's own addresses; null: something else is meant. */
  page(call: Call): Answer | null;
}

interface WebFile {
  readonly type: string;
  readonly etag: string;
  readonly cacheControl: string;
  readonly plain: Buffer;
  readonly packed: readonly { readonly encoding: string; readonly bytes: Buffer }[];
}

/**
 * null: there is no app in that folder. Throws config_invalid when there is more than an app.
 * @param sendTo origins beside this one to which its pages send photos
 */
export async function loadWebApp(folder: string, sendTo: readonly string[] = []): Promise<WebApp | null> {
  const security = pageHeaders(sendTo);
  const send = (call: Call, file: WebFile): Answer => sendFile(call, file, security);
  const files = await readFiles(folder);
  const index = files.get('index.html');
  if (index === undefined) return null;
  const named = [...files].filter(([name]) => !name.startsWith(HASHED) && name !== 'index.html');
  return {
    routes: [
      route('/', (call) => send(call, index)),
      ...named.map(([name, file]) => route(`/${name}`, (call) => send(call, file))),
      // One route for all: their names change with every build, and routes are counted by name.
      route(`/${HASHED}*`, (call) => {
        const file = files.get(`${HASHED}${call.params['*'] ?? ''}`);
        if (file) return send(call, file);
        // A page from before the last release asks for it.
        throw new PosternError('not_found', 'This part of the page is of another release. Load the page again.');
      }),
    ],
    page: (call) => (isNavigation(call) ? send(call, index) : null),
  };
}

const route = (address: string, handle: Route['handle']): Route => ({
  method: 'GET',
  path: address,
  scope: 'public',
  handle,
});

/** Addresses under which programs speak with the gateway: they get a problem and no page. */
const NOT_PAGES = /^\/(?:api|v1|v2|openai|services|admin|docs|metrics|assets|app|livez|readyz|health)(?:[/?]|$)/;

function isNavigation({ request: { method, headers, url = '/' } }: Call): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false;
  return (headers.accept ?? '').includes('text/html') && !NOT_PAGES.test(url);
}

function sendFile(
  { request: { headers } }: Call,
  { type, etag, cacheControl, plain, packed }: WebFile,
  security: readonly string[],
): Answer {
  const lines = ['content-type', type, 'cache-control', cacheControl, 'etag', etag, ...security];
  if (packed.length > 0) lines.push('vary', 'accept-encoding');
  if (headers['if-none-match'] === etag) return { status: 304, headers: lines, body: '' };
  const accepted = String(headers['accept-encoding'] ?? '');
  const best = packed.find(({ encoding }) => accepts(accepted, encoding));
  return best === undefined
    ? { status: 200, headers: lines, body: plain }
    : { status: 200, headers: [...lines, 'content-encoding', best.encoding], body: best.bytes };
}

/** Listed, and not refused by a quality of zero. */
function accepts(header: string, encoding: string): boolean {
  const item = header
    .split(',')
    .map((part) => part.trim().toLowerCase())
    .find((part) => part === encoding || part.startsWith(`${encoding};`));
  return item !== undefined && !/;\s*q=0(?:\.0*)?$/.test(item);
}

async function readFiles(folder: string): Promise<Map<string, WebFile>> {
  const names = await namesIn(folder);
  if (names.length > MAX_FILES) throw tooMuch(folder, `${names.length} files, at most ${MAX_FILES} are served`);
  const contents = new Map<string, Buffer>();
  let bytes = 0;
  for (const name of names) {
    const content = await readFile(path.join(folder, name));
    bytes += content.length;
    if (bytes > MAX_BYTES) throw tooMuch(folder, `more than ${MAX_BYTES} bytes`);
    contents.set(name, content);
  }
  const files = new Map<string, WebFile>();
  for (const [name, plain] of contents) {
    const type = TYPES[path.extname(name)];
    // Source maps and what else may lie there are nobody's business.
    if (type === undefined) continue;
    const packed = PACKED.flatMap(([encoding, suffix]) => {
      const packedBytes = contents.get(name + suffix);
      return packedBytes === undefined ? [] : [{ encoding, bytes: packedBytes }];
    });
    const etag = `"${createHash('sha256').update(plain).digest('base64url').slice(0, 22)}"`;
    files.set(name, { type, etag, cacheControl: name.startsWith(HASHED) ? FOREVER : CHECKED, plain, packed });
  }
  return files;
}

/** Relative, with slashes. Links are not followed. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

const tooMuch = (folder: string, what: string): PosternError =>
  new PosternError(
    'config_invalid',
    `${folder} is no web app: ${what}. POSTERN_WEB_DIR names the folder of the built one`,
  );
