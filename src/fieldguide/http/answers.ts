/** Forms of answers that the field guide's routes share. */
import { createHash } from 'node:crypto';
import { PosternError } from '../../errors.ts';
import type { Answer, Call, Route } from '../../gateway/http/route.ts';
import type { Guide } from '../guide/guide.ts';

export const entityTag = (body: string | Uint8Array): string =>
  `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;

const JSON_TYPE = ['content-type', 'application/json; charset=utf-8'];

/** For everybody, the same for some time: caches may keep it. */
export function cached({ request }: Call, value: object, maxAgeS: number): Answer {
  const body = JSON.stringify(value);
  const etag = entityTag(body);
  const headers = [...JSON_TYPE, 'cache-control', `public, max-age=${maxAgeS}`, 'etag', etag];
  return request.headers['if-none-match'] === etag
    ? { status: 304, headers, body: '' }
    : { status: 200, headers, body };
}

/** For one person, now. */
export const fresh = (status: number, value: object, more: readonly string[] = []): Answer => ({
  status,
  headers: [...JSON_TYPE, 'cache-control', 'no-store', ...more],
  body: JSON.stringify(value),
});

export const done = (more: readonly string[] = []): Answer => ({
  status: 204,
  headers: ['cache-control', 'no-store', ...more],
  body: '',
});

/** Bytes that strangers had a part in: opened as a page, they must not act as one of ours. */
export function photoAnswer({ request }: Call, bytes: Uint8Array, key: string, cacheControl: string): Answer {
  const etag = `"${key.slice(0, 32)}"`;
  const headers = ['content-type', 'image/jpeg', 'cache-control', cacheControl, 'etag', etag];
  headers.push('x-content-type-options', 'nosniff', 'content-security-policy', "default-src 'none'; sandbox");
  headers.push('cross-origin-resource-policy', 'same-site');
  return request.headers['if-none-match'] === etag
    ? { status: 304, headers, body: '' }
    : { status: 200, headers, body: bytes };
}

export type GuideOf = (call: Call) => Guide;

/** Throws guide_not_found. */
export const guideFinder =
  (guides: ReadonlyMap<string, Guide>): GuideOf =>
  ({ params }) => {
    const guide = guides.get(params.guide ?? '');
    if (guide) return guide;
    throw new PosternError(
      'guide_not_found',
      `There is no such guide here; there are: ${[...guides.keys()].join(', ')}.`,
    );
  };

type Handle = Route['handle'];
export const get = (path: string, handle: Handle): Route => ({ method: 'GET', path, scope: 'public', handle });
export const post = (path: string, handle: Handle): Route => ({ method: 'POST', path, scope: 'public', handle });
export const remove = (path: string, handle: Handle): Route => ({ method: 'DELETE', path, scope: 'public', handle });
