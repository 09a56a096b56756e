/** Errors as callers see them: RFC 9457 `application/problem+json` with a stable `code` from the one table. */
import { ERROR_CODES, PosternError, type ErrorCode } from '../../errors.ts';

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

/** Fastify's own errors that have a better code than their status says. */
const BY_STATUS: ReadonlyMap<number, ErrorCode> = new Map<number, ErrorCode>([
  [404, 'not_found'],
  [405, 'method_not_allowed'],
  [408, 'request_timeout'],
  [413, 'body_too_large'],
  [415, 'unsupported_media_type'],
  [431, 'headers_too_large'],
  [503, 'overloaded'],
]);

/**
 * Whatever a handler or Fastify threw. What is not a PosternError and not the caller's doing is `internal`, with a detail
 * that says nothing: the cause belongs in the log.
 */
export function toCallerError(thrown: unknown): PosternError {
  if (thrown instanceof PosternError) return thrown;
  const status = statusOf(thrown);
  if (status !== null && status >= 400 && status < 500) {
    const message = thrown instanceof Error ? thrown.message : 'The request could not be understood.';
    return new PosternError(BY_STATUS.get(status) ?? 'bad_request', message, { cause: thrown });
  }
  const detail = 'The cause is in the log of the gateway, under this request_id.';
  return new PosternError('internal', detail, { cause: thrown });
}

function statusOf(thrown: unknown): number | null {
  if (typeof thrown !== 'object' || thrown === null || !('statusCode' in thrown)) return null;
  return typeof thrown.statusCode === 'number' ? thrown.statusCode : null;
}

export interface ProblemContext {
  readonly requestId: string;
  /** The prediction that ended with this error: it exists and can be read. */
  readonly prediction?: string;
  readonly form?: ErrorForm;
}

/** A problem; with the message under `error`, for callers of the Open Inference Protocol; or with OpenAI's `error` object. */
export type ErrorForm = 'problem' | 'open-inference' | 'openai';

/** Where nobody knows how long it lasts, as with a store that is away. A caller that is not told when to come back may not come. */
const UNKNOWN_RETRY_S = 1;

/** Whole seconds, as `Retry-After` has them. */
export function retryAfterOf({ status, retryable, retryAfterS }: PosternError): number | undefined {
  if (retryAfterS !== undefined) return Math.max(1, Math.ceil(retryAfterS));
  return retryable && (status === 503 || status === 429) ? UNKNOWN_RETRY_S : undefined;
}

export function renderProblem(error: PosternError, { requestId, prediction, form }: ProblemContext): string {
  const { status, title, retryable } = ERROR_CODES[error.code];
  const retryAfterS = retryAfterOf(error);
  return JSON.stringify({
    ...(form === 'open-inference' ? { error: error.message } : {}),
    ...(form === 'openai' ? { error: openAiError(error) } : {}),
    type: `/docs/errors#${error.code}`,
    title,
    status,
    detail: error.message,
    code: error.code,
    retryable,
    ...(retryAfterS === undefined ? {} : { retry_after: retryAfterS }),
    ...(prediction === undefined ? {} : { prediction }),
    request_id: requestId,
  });
}

function openAiError({ code, message, status }: PosternError): object {
  return { message, type: openAiType(status), param: null, code };
}

function openAiType(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}
