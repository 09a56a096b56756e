/**
 * Inputs by URL: `{"input": {"image": "https://…"}}`. The file is fetched before the job is recorded, so that a job holds all
 * that it needs, and what cannot be fetched is told to the caller who can do something about it.
 */
import { PosternError } from '../../errors.ts';
import type { Payload } from '../../dispatch/job.ts';
import type { Outbound } from '../outbound/outbound.ts';
import type { Share } from './budget.ts';
import { MEDIA_TYPE, mediaType } from './media-type.ts';

/** An input that is somewhere else. */
export interface InputAddress {
  /** The field that named it, for messages. */
  readonly field: string;
  readonly url: string;
}

export interface InputFetcher {
  /** Its bytes, counted against the request's share. Aborting the signal ends the download, and rejects with its reason. */
  fetch(address: InputAddress, share: Share, signal: AbortSignal): Promise<Payload>;
}

export interface InputFetcherOptions {
  readonly outbound: Outbound;
  readonly maxBytes: number;
  readonly maxDownloads?: number;
}

/** At once, for the whole gateway; each may hold one body of memory, which the budget of bodies counts too. */
const MAX_DOWNLOADS = 64;
/** The caller waits for it, and 30 s carry 20 MiB at 5.6 Mbit/s. */
const TIMEOUT_MS = 30_000;
/** As many as browsers' users ever notice: a storage service that signs its addresses needs one or two. */
const MAX_REDIRECTS = 5;

export function isInputAddress(input: Payload | InputAddress): input is InputAddress {
  return 'url' in input;
}

export function createInputFetcher({
  outbound,
  maxBytes,
  maxDownloads = MAX_DOWNLOADS,
}: InputFetcherOptions): InputFetcher {
  let downloads = 0;

  async function download({ field, url }: InputAddress, share: Share, signal: AbortSignal): Promise<Payload> {
    const result = await outbound.send({
      method: 'GET',
      url,
      headers: { accept: '*/*' },
      timeoutMs: TIMEOUT_MS,
      maxRedirects: MAX_REDIRECTS,
      read: { maxBytes, count: (bytes) => share.take(bytes) },
      signal,
    });
    switch (result.type) {
      case 'refused':
        throw new PosternError('input_url_refused', `The address in "${field}" is not fetched: ${result.reason}.`);
      case 'failed':
        throw failed(field, result.reason);
      case 'too_large':
        throw new PosternError(
          'body_too_large',
          `The file at "${field}" is larger than the limit of ${maxBytes} bytes.`,
        );
      case 'answered':
        break;
    }
    const { status, headers, body } = result;
    if (status !== 200) throw failed(field, `its server answered ${status}`);
    const encoding = headers['content-encoding'] ?? 'identity';
    if (encoding !== 'identity') throw failed(field, 'its server compressed it, although it was asked not to');
    if (body.length === 0) throw new PosternError('empty_input', `The file at "${field}" has zero bytes.`);
    const type = mediaType(headers['content-type']);
    return { contentType: MEDIA_TYPE.test(type) ? type : 'application/octet-stream', bytes: body };
  }

  return {
    async fetch(address, share, signal) {
      if (downloads >= maxDownloads) {
        throw new PosternError('overloaded', `${maxDownloads} inputs are being fetched already: try again shortly`, {
          retryAfterS: 1,
        });
      }
      downloads += 1;
      try {
        return await download(address, share, signal);
      } finally {
        downloads -= 1;
      }
    },
  };
}

function failed(field: string, reason: string): PosternError {
  return new PosternError('input_url_failed', `The file at the address in "${field}" could not be fetched: ${reason}.`);
}
