/** The pages that the gateway serves itself: the reference, the list of errors, and a word where there is no web app. Read once, at start. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { OpenApiPart } from '../ports.ts';
import { renderErrorsPage } from './error-pages.ts';
import { pageHeaders } from './page-headers.ts';
import { openApiDocument } from './openapi.ts';
import type { Answer, Call, Route } from './route.ts';

const FOLDER = path.join(import.meta.dirname, 'page');
/** Address → file and type. A list and not the folder: a file that strays into it is not published. */
const FILES: readonly (readonly [address: string, file: string, contentType: string])[] = [
  ['/docs', 'docs.html', 'text/html; charset=utf-8'],
  ['/assets/docs.css', 'docs.css', 'text/css; charset=utf-8'],
  ['/assets/docs.js', 'docs.js', 'text/javascript; charset=utf-8'],
  ['/assets/icon.svg', 'icon.svg', 'image/svg+xml'],
];

/** The web app brings its own first page. */
export async function pageRoutes(parts: readonly OpenApiPart[], hasApp: boolean): Promise<Route[]> {
  const files = FILES.map(async ([address, file, contentType]) =>
    fixed(address, contentType, await readFile(path.join(FOLDER, file))),
  );
  const first = await readFile(path.join(FOLDER, 'index.html'));
  return [
    ...(hasApp ? [] : [fixed('/', 'text/html; charset=utf-8', first)]),
    ...(await Promise.all(files)),
    fixed('/docs/errors', 'text/html; charset=utf-8', renderErrorsPage()),
    fixed('/openapi.json', 'application/json; charset=utf-8', JSON.stringify(openApiDocument(parts))),
  ];
}

/** A file that does not change while the process lives: checked by its tag on every visit, sent only when it is new. */
export function fixed(address: string, contentType: string, body: Uint8Array | string): Route {
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  const headers = ['content-type', contentType, 'cache-control', 'no-cache', 'etag', etag, ...pageHeaders()];
  const full: Answer = { status: 200, headers, body };
  const unchanged: Answer = { status: 304, headers, body: '' };
  return {
    method: 'GET',
    path: address,
    scope: 'public',
    handle: ({ request }: Call) => (request.headers['if-none-match'] === etag ? unchanged : full),
  };
}
