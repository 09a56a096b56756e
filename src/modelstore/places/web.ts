/**
 * A web server as a place of models: a folder that was pushed to and is served as files. It can be read, also from the middle
 * on (`Range`), and not be listed or written. Plain http only on this machine: a manifest without a signature is as true as
 * the connection that it came through.
 */
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { placeError, type ModelPlace, type Reading } from '../place.ts';

const MAX_REDIRECTS = 5;
/** Until the headers are there. */
const ANSWER_MS = 30_000;
const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

export function openWebModels(address: string, clock: Clock): ModelPlace {
  const base = checked(address.endsWith('/') ? address : `${address}/`, address);

  async function request(path: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    let url = new URL(path, base);
    url.search = base.search;
    for (let redirects = 0; ; redirects += 1) {
      const late = new AbortController();
      const timer = clock.after(ANSWER_MS, () => late.abort(new Error(`no answer within ${ANSWER_MS / 1_000} s`)));
      let response: Response;
      try {
        response = await fetch(url, { headers, redirect: 'manual', signal: AbortSignal.any([signal, late.signal]) });
      } catch (error) {
        throw placeError(error, `${path} could not be fetched`, base.origin);
      } finally {
        timer.cancel();
      }
      const location = response.headers.get('location');
      if (response.status < 300 || response.status > 399 || location === null) return response;
      await response.body?.cancel();
      if (redirects === MAX_REDIRECTS) throw failed(path, `more than ${MAX_REDIRECTS} redirects`);
      url = checked(new URL(location, url).href, `${address} leads to ${location}`);
    }
  }

  const failed = (path: string, why: string): PosternError =>
    new PosternError('model_store_failed', `${path} could not be fetched (${base.origin}): ${why}`);

  async function open(path: string, from: number, signal: AbortSignal): Promise<Reading | null> {
    // Packed content has other sizes and other bytes: as it is, or not at all.
    const headers = { 'accept-encoding': 'identity', ...(from === 0 ? {} : { range: `bytes=${from}-` }) };
    const response = await request(path, headers, signal);
    const { status, body } = response;
    if (status === 404 || status === 410) {
      await body?.cancel();
      return null;
    }
    if ((status !== 200 && status !== 206) || body === null) {
      await body?.cancel();
      throw failed(path, `status ${status}`);
    }
    return { from: status === 206 ? rangeStart(response, path) : 0, content: body };
  }

  function rangeStart(response: Response, path: string): number {
    const match = /^bytes (\d{1,16})-/.exec(response.headers.get('content-range') ?? '');
    if (match === null) throw failed(path, 'a part was sent without saying which');
    return Number(match[1]);
  }

  return {
    address,
    async readSmall(path, maxBytes) {
      const late = new AbortController();
      const timer = clock.after(ANSWER_MS, () => late.abort(new Error(`it took longer than ${ANSWER_MS / 1_000} s`)));
      try {
        const reading = await open(path, 0, late.signal);
        return reading === null ? null : await collect(reading.content, path, maxBytes);
      } catch (error) {
        throw placeError(error, `${path} could not be fetched`, base.origin);
      } finally {
        timer.cancel();
      }
    },
    read: open,
    folders: () => Promise.resolve(null),
    write: null,
    close: () => undefined,
  };
}

async function collect(content: AsyncIterable<Uint8Array>, path: string, maxBytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of content) {
    bytes += part.byteLength;
    if (bytes > maxBytes) throw new PosternError('model_invalid', `${path} has more than ${maxBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function checked(url: string, shown: string): URL {
  const parsed = URL.parse(url);
  if (parsed?.username !== '' || parsed.password !== '') {
    throw new PosternError(
      'config_invalid',
      `${shown}: expected an address like https://models.example/prod, without a password`,
    );
  }
  if (parsed.protocol === 'https:' || (parsed.protocol === 'http:' && LOOPBACK.has(parsed.hostname))) return parsed;
  throw new PosternError(
    'config_invalid',
    `${shown}: only https:// (http:// on this machine): others could change what is fetched`,
  );
}
