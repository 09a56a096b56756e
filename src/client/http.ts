/**
 * One HTTP call to a gateway: problem+json becomes a PosternError, and what is worth trying again is tried again, a
 * bounded number of times, with the gateway's Retry-After or full jitter between.
 */
import { isErrorCode, PosternError, type ErrorCode } from '../errors.ts';

export interface RetryPolicy {
  /** Calls in all, the first included. */
  readonly maxAttempts: number;
  /** Before the n-th retry the wait is random in [0, firstMs · 2ⁿ], so that callers do not come back together. */
  readonly firstMs: number;
  /** No wait is longer, whatever Retry-After says: then the error is handed on, with its Retry-After, to the caller. */
  readonly maxMs: number;
}

export const DEFAULT_RETRY: RetryPolicy = { maxAttempts: 4, firstMs: 250, maxMs: 10_000 };

export interface Transport {
  readonly base: string;
  readonly apiKey: string | null;
  readonly fetch: typeof fetch;
  readonly retry: RetryPolicy;
  /** In [0, 1). */
  readonly random: () => number;
  readonly delay: (delayMs: number, signal: AbortSignal | undefined) => Promise<void>;
}

export type CallBody = Blob | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;

export interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: CallBody;
  /** May the call be sent twice? True for reads, and for submissions with an idempotency key and a body that is not a stream. */
  readonly repeatable: boolean;
  readonly signal?: AbortSignal;
}

/** Sends the call; resolves with a response whose status is below 400. Throws PosternErrors, or the signal's reason. */
export async function send(transport: Transport, call: Call): Promise<Response> {
  for (let attempt = 1; ; attempt += 1) {
    const error = await attemptOnce(transport, call);
    if (!(error instanceof PosternError)) return error;
    if (!call.repeatable || !error.retryable || attempt >= transport.retry.maxAttempts) throw error;
    const jitterMs = transport.random() * transport.retry.firstMs * 2 ** attempt;
    const waitMs = error.retryAfterS === undefined ? jitterMs : error.retryAfterS * 1000;
    if (waitMs > transport.retry.maxMs) throw error;
    await transport.delay(waitMs, call.signal);
  }
}

async function attemptOnce(transport: Transport, call: Call): Promise<Response | PosternError> {
  let response: Response;
  try {
    response = await transport.fetch(transport.base + call.path, {
      method: call.method,
      headers: {
        accept: 'application/json',
        ...(transport.apiKey === null ? {} : { authorization: `Bearer ${transport.apiKey}` }),
        ...call.headers,
      },
      body: call.body,
      signal: call.signal,
      // Node's fetch asks for this with a stream body; browsers ignore it for others.
      ...(call.body instanceof ReadableStream ? { duplex: 'half' } : {}),
    });
  } catch (error) {
    if (call.signal?.aborted === true) throw call.signal.reason;
    return new PosternError('unreachable', `${transport.base} does not answer (${reasonOf(error)})`, { cause: error });
  }
  return response.status < 400 ? response : problemOf(response);
}

/** fetch hides the reason one level down (`fetch failed`, cause ECONNREFUSED). */
function reasonOf(error: unknown): string {
  const cause = (error as { cause?: unknown } | null)?.cause;
  const { code } = (cause ?? {}) as { code?: unknown };
  if (typeof code === 'string') return code;
  if (cause instanceof Error && cause.message !== '') return cause.message;
  return error instanceof Error ? error.message : String(error);
}

/** A problem document is small; whatever else is behind the address (a proxy's page) is not read to its end. */
const MAX_PROBLEM_CHARACTERS = 16_384;

async function problemOf(response: Response): Promise<PosternError> {
  const text = await response.text().catch(() => '');
  const problem = text.length <= MAX_PROBLEM_CHARACTERS ? parseProblem(text) : {};
  const code = isErrorCode(problem.code) ? problem.code : codeOfStatus(response.status);
  const detail = typeof problem.detail === 'string' ? problem.detail : `the gateway answered ${response.status}`;
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  return new PosternError(
    code,
    detail,
    Number.isFinite(retryAfter) && retryAfter >= 0 ? { retryAfterS: retryAfter } : {},
  );
}

function parseProblem(text: string): { code?: unknown; detail?: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** For answers without a code of ours: from a proxy in front of the gateway, or from something else altogether. */
function codeOfStatus(status: number): ErrorCode {
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not_found';
  if (status === 413) return 'body_too_large';
  if (status === 429) return 'queue_full';
  if (status === 502 || status === 503 || status === 504) return 'unreachable';
  return status < 500 ? 'bad_request' : 'internal';
}
