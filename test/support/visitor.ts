/** Somebody with a browser: keeps the cookie, and speaks with the field guide. */
import assert from 'node:assert/strict';
import type { Identification } from './field-guide-shapes.ts';

export interface Visitor {
  readonly cookie: string;
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** Sends photos to a guide; the answer as it came. */
  send(photos: readonly Uint8Array[], options?: SendOptions): Promise<Response>;
  /** The same, accepted. */
  identify(photos: readonly Uint8Array[], options?: SendOptions): Promise<Identification>;
  read(id: string, query?: string): Promise<Identification>;
  /** Waits until it is decided. */
  decided(id: string): Promise<Identification>;
  postJson(path: string, body: unknown): Promise<Response>;
}

export interface SendOptions {
  readonly guide?: string;
  readonly key?: string;
  readonly field?: string;
}

export function createVisitor(base: string, headers: Readonly<Record<string, string>> = {}): Visitor {
  let cookie = '';

  async function request(path: string, init: RequestInit = {}): Promise<Response> {
    const sent = new Headers({ ...headers, ...(init.headers as Record<string, string> | undefined) });
    if (cookie !== '') sent.set('cookie', cookie);
    const response = await fetch(base + path, { ...init, headers: sent });
    const [set] = response.headers.getSetCookie();
    if (set !== undefined) cookie = set.split(';', 1)[0] ?? '';
    return response;
  }

  async function send(photos: readonly Uint8Array[], options: SendOptions = {}): Promise<Response> {
    const { guide = 'plants', key, field = 'photo' } = options;
    const form = new FormData();
    for (const [index, photo] of photos.entries()) {
      form.append(field, new Blob([Buffer.from(photo)], { type: 'image/jpeg' }), `${index}.jpg`);
    }
    const more: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key };
    return request(`/api/guides/${guide}/identifications`, { method: 'POST', body: form, headers: more });
  }

  async function read(id: string, query = ''): Promise<Identification> {
    const response = await request(`/api/identifications/${id}${query}`);
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return JSON.parse(text) as Identification;
  }

  return {
    get cookie() {
      return cookie;
    },
    fetch: request,
    send,
    async identify(photos, options) {
      const response = await send(photos, options);
      const text = await response.text();
      assert.equal(response.status, 202, text);
      return JSON.parse(text) as Identification;
    },
    read,
    async decided(id) {
      for (;;) {
        const one = await read(id, '?wait=30');
        if (one.status === 'decided') return one;
      }
    },
    postJson: (path, body) =>
      request(path, {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      }),
  };
}
