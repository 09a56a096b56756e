/** Sends photos to the gateway, and tells how far it is: XMLHttpRequest, because fetch does not. */
import { isErrorCode, PosternError } from '../../../src/errors.ts';
import { apiKey } from '../api/key.ts';
import type { Identification } from '../api/identifications.ts';

export interface Sending {
  readonly guide: string;
  readonly key: string;
  readonly photos: readonly Blob[];
  readonly signal: AbortSignal;
  /** From 0 to 1. */
  readonly onProgress: (fraction: number) => void;
}

/** Resolves with the identification. Rejects with PosternErrors: `unreachable` when no answer came. */
export function send({ guide, key, photos, signal, onProgress }: Sending): Promise<Identification> {
  const form = new FormData();
  photos.forEach((photo, index) => form.append('photo', photo, `photo-${index + 1}.jpg`));
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', `/api/guides/${encodeURIComponent(guide)}/identifications`);
    request.setRequestHeader('idempotency-key', key);
    request.setRequestHeader('accept', 'application/json');
    const bearer = apiKey();
    if (bearer !== null) request.setRequestHeader('authorization', `Bearer ${bearer}`);
    request.upload.onprogress = ({ loaded, total }) => onProgress(total > 0 ? loaded / total : 0);
    request.onload = () => {
      const body = parse(request.responseText);
      if (request.status < 400 && typeof body.id === 'string') resolve(body as unknown as Identification);
      else reject(problemOf(request, body));
    };
    request.onerror = () => reject(new PosternError('unreachable', 'The gateway does not answer.'));
    request.onabort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', () => request.abort(), { once: true });
    if (signal.aborted) reject(signal.reason as Error);
    else request.send(form);
  });
}

function problemOf(request: XMLHttpRequest, { code, detail }: Record<string, unknown>): PosternError {
  const retryAfterS = Number(request.getResponseHeader('retry-after') ?? Number.NaN);
  // Without a code of ours it is from something in between: as if nobody had answered, so that it is tried again.
  return new PosternError(
    isErrorCode(code) ? code : request.status === 413 ? 'body_too_large' : 'unreachable',
    typeof detail === 'string' ? detail : `the gateway answered ${request.status}`,
    Number.isFinite(retryAfterS) ? { retryAfterS } : {},
  );
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
