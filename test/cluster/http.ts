/** HTTP as callers send it, each on a connection of its own that it keeps; and what the protocol lets them do about an outcome. */
import { Agent, request } from 'node:http';

export interface Sent {
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly onText?: (text: string) => void;
  /** Nothing came for so long. */
  readonly silenceMs: number;
}

export type Outcome =
  | { readonly type: 'answered'; readonly status: number; readonly retryAfterMs: number | null; readonly text: string }
  /** Nobody took the connection, so nothing was sent. */
  | { readonly type: 'refused' }
  /** It was sent, and what became of it is not known. */
  | { readonly type: 'broken'; readonly why: string };

export type Ruling =
  | 'done'
  /** The protocol allows it to be sent again. */
  | 'again'
  /** It may have been done, and must not be sent again. */
  | 'unknown'
  /** An answer that no caller deserves. */
  | 'wrong';

/** RFC 9110: what is idempotent, or carries a key that makes it so, may be sent again; anything else only where it was not taken. */
export function rule(outcome: Outcome, isIdempotent: boolean): Ruling {
  if (outcome.type === 'refused') return 'again';
  const doubtful = isIdempotent ? 'again' : 'unknown';
  if (outcome.type === 'broken') return doubtful;
  const { status, retryAfterMs } = outcome;
  if (status >= 200 && status < 300) return 'done';
  if (status === 429 || status === 503) return retryAfterMs === null ? 'wrong' : 'again';
  return status === 502 || status === 504 ? doubtful : 'wrong';
}

export const openAgent = (): Agent => new Agent({ keepAlive: true, maxSockets: 1 });

export function send(base: string, agent: Agent, path: string, sent: Sent): Promise<Outcome> {
  return new Promise((resolve) => {
    const { method = 'GET', headers = {}, body, onText, silenceMs } = sent;
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const out = request(new URL(path, base), { method, agent, headers: { ...headers, ...length } });
    const broken = (error: NodeJS.ErrnoException): void => {
      clearTimeout(timer);
      const isRefused = error.code === 'ECONNREFUSED' || error.code === 'EHOSTUNREACH';
      resolve(isRefused ? { type: 'refused' } : { type: 'broken', why: error.code ?? error.message });
    };
    const silent = (): void => void out.destroy(Object.assign(new Error('silence'), { code: 'SILENCE' }));
    let timer = setTimeout(silent, silenceMs);
    out.once('error', broken);
    out.once('response', (message) => {
      let text = '';
      message.setEncoding('utf8');
      message.on('data', (part: string) => {
        clearTimeout(timer);
        timer = setTimeout(silent, silenceMs);
        text += onText ? '' : part;
        onText?.(part);
      });
      message.once('error', broken);
      message.once('end', () => {
        clearTimeout(timer);
        const after = Number(message.headers['retry-after'] ?? NaN);
        const retryAfterMs = Number.isFinite(after) ? after * 1_000 : null;
        resolve({ type: 'answered', status: message.statusCode ?? 0, retryAfterMs, text });
      });
    });
    out.end(body);
  });
}
