/** Asks a gateway whether it is ready, by its private socket or through the front, always on a connection of its own. */
import { request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** `release`: what X-Release says, `<release>/<instance>`. `status` null: there was no answer, and `reason` says why. */
export interface ProbeAnswer {
  readonly status: number | null;
  readonly release: string | null;
  readonly reason: string;
}

export type ProbeTarget = { readonly socketPath: string } | { readonly url: string };

export const PROBE_TIMEOUT_MS = 5_000;
/** Of the answer's text, for a message. */
const MAX_REASON_CHARS = 300;

export function probe(target: ProbeTarget, timeoutMs: number = PROBE_TIMEOUT_MS): Promise<ProbeAnswer> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const options: RequestOptions = { agent: false, signal, headers: { connection: 'close', host: 'localhost' } };
    const failed = (error: Error): void => {
      const reason = signal.aborted ? `no answer within ${timeoutMs / 1_000} s` : error.message;
      resolve({ status: null, release: null, reason });
    };
    const sent =
      'socketPath' in target
        ? httpRequest({ ...options, socketPath: target.socketPath, path: '/readyz' })
        : (target.url.startsWith('https:') ? httpsRequest : httpRequest)(new URL('/readyz', target.url), {
            ...options,
            headers: { connection: 'close' },
          });
    sent.once('error', failed);
    sent.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => (text = (text + part).slice(0, MAX_REASON_CHARS)));
      response.once('error', failed);
      response.once('end', () => {
        const release = response.headers['x-release'];
        resolve({
          status: response.statusCode ?? null,
          release: typeof release === 'string' ? release : null,
          reason: `${response.statusCode} ${text}`,
        });
      });
    });
    sent.end();
  });
}
