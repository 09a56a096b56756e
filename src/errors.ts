/**
 * The one table of error codes. Codes cross processes (problem+json, the wire, the log), classes do not. A test compares
 * this table with `docs/errors.md` and the OpenAPI document. A code is never renamed or reused.
 */

interface ErrorKind {
  /** HTTP status when the error reaches a caller. */
  readonly status: number;
  /** Short, constant summary (RFC 9457 `title`). */
  readonly title: string;
  /** Would the same call, unchanged, perhaps succeed later? Decides retries of jobs and advice to callers. */
  readonly retryable: boolean;
}

export const ERROR_CODES = {
  // What a caller sent.
  bad_request: { status: 400, title: 'The request is malformed', retryable: false },
  bad_json: { status: 400, title: 'The body is not valid JSON', retryable: false },
  bad_multipart: { status: 400, title: 'The multipart body is malformed', retryable: false },
  bad_parameter: { status: 400, title: 'A parameter has an unusable value', retryable: false },
  deadline_in_past: { status: 400, title: 'The deadline has already passed', retryable: false },
  bad_tensor: { status: 400, title: "A tensor's data does not fit its datatype and shape", retryable: false },
  missing_input: { status: 400, title: 'The request carries no input', retryable: false },
  unauthorized: { status: 401, title: 'An API key is needed', retryable: false },
  forbidden: { status: 403, title: 'This API key does not allow it', retryable: false },
  body_too_large: { status: 413, title: 'The body is larger than the limit', retryable: false },
  unsupported_media_type: { status: 415, title: 'The content type is not supported here', retryable: false },
  not_found: { status: 404, title: 'There is nothing at this address', retryable: false },
  method_not_allowed: { status: 405, title: 'The method is not allowed here', retryable: false },
  upgrade_refused: { status: 501, title: 'Connections are not upgraded here', retryable: false },
  prediction_not_found: { status: 404, title: 'There is no prediction with this id', retryable: false },
  file_not_found: { status: 404, title: 'There is no file with this id', retryable: false },
  model_not_found: { status: 404, title: 'There is no model with this name', retryable: false },
  guide_not_found: { status: 404, title: 'There is no guide with this name', retryable: false },
  entry_not_found: { status: 404, title: 'The guide has no such entry', retryable: false },
  identification_not_found: { status: 404, title: 'There is no identification with this id', retryable: false },
  photo_not_found: { status: 404, title: 'The photo is not there, or not any more', retryable: false },
  share_not_found: { status: 404, title: 'Nothing is shared under this link', retryable: false },
  not_decided: { status: 409, title: 'The identification is not decided yet', retryable: true },
  cursor_expired: { status: 410, title: 'The list that this cursor belongs to is gone', retryable: false },
  headers_too_large: { status: 431, title: 'The headers are larger than the limit', retryable: false },
  request_timeout: { status: 408, title: 'The request took too long to arrive', retryable: true },
  input_url_refused: { status: 400, title: 'The address of the input is not one that is fetched', retryable: false },
  input_url_failed: { status: 422, title: 'The input could not be fetched from its address', retryable: true },
  webhook_refused: { status: 400, title: 'The address of the webhook is not one that is called', retryable: false },
  webhook_unverified: { status: 401, title: 'The webhook is not from whom it says', retryable: false },
  idempotency_mismatch: { status: 422, title: 'The idempotency key was used with another body', retryable: false },
  rollout_refused: { status: 409, title: 'The versions of this model cannot be changed so', retryable: false },
  retry_refused: { status: 409, title: 'The prediction cannot be tried again', retryable: false },
  // What the input turned out to be, found by the worker.
  not_an_image: { status: 422, title: 'The input is not an image that can be decoded', retryable: false },
  image_truncated: { status: 422, title: 'The image ends before its data is complete', retryable: false },
  image_too_large: { status: 422, title: 'The image has more pixels than the limit', retryable: false },
  empty_input: { status: 422, title: 'The input has zero bytes', retryable: false },
  input_invalid: { status: 422, title: 'The model does not take this input', retryable: false },
  // What the service can not do now.
  rate_limited: { status: 429, title: 'Too many requests with this API key', retryable: true },
  file_quota_exceeded: { status: 429, title: 'The uploaded files of this caller take too much room', retryable: true },
  quota_exceeded: { status: 429, title: 'Too many undecided predictions with this API key', retryable: true },
  queue_full: { status: 429, title: 'The queue is full', retryable: true },
  no_worker: { status: 503, title: 'No worker serves this model now', retryable: true },
  draining: { status: 503, title: 'The gateway is draining', retryable: true },
  maintenance: { status: 503, title: 'The gateway is closed for maintenance', retryable: true },
  overloaded: { status: 503, title: 'The gateway has no room for this request now', retryable: true },
  storage_full: { status: 503, title: 'The disk has no room for this', retryable: true },
  storage_failed: { status: 503, title: 'The disk did not keep this', retryable: true },
  // How a job ended.
  deadline_exceeded: { status: 504, title: 'The deadline passed', retryable: false },
  canceled: { status: 409, title: 'The prediction was canceled', retryable: false },
  model_failed: { status: 500, title: 'The model failed on this input', retryable: false },
  model_unavailable: { status: 503, title: 'The model is not loaded on the worker', retryable: true },
  output_invalid: { status: 502, title: 'The worker sent an output that cannot be used', retryable: false },
  output_too_large: { status: 502, title: 'The output is larger than the limit', retryable: false },
  attempts_exhausted: { status: 502, title: 'Every attempt was interrupted', retryable: true },
  model_timeout: { status: 504, title: 'The model took longer than it may', retryable: false },
  runner_crashed: { status: 502, title: 'The runner of the model died while it ran this', retryable: true },
  service_failed: { status: 502, title: 'The service behind the worker did not answer', retryable: true },
  gateway_lost: { status: 502, title: 'The gateway that worked on this was lost', retryable: true },
  worker_lost: { status: 502, title: 'The worker was lost before it answered', retryable: true },
  // The wire (postern/1). The number in `docs/protocol.md` is the same as the name here.
  protocol_error: { status: 502, title: 'The peer broke the protocol', retryable: false },
  frame_too_large: { status: 502, title: 'The peer announced a frame over the limit', retryable: false },
  message_invalid: { status: 502, title: 'The peer sent a message that does not fit its schema', retryable: false },
  flow_control: { status: 502, title: 'The peer exceeded a window or its credit', retryable: false },
  version_mismatch: { status: 502, title: 'The peers share no protocol version', retryable: false },
  handshake_timeout: { status: 504, title: 'The peer did not say hello in time', retryable: true },
  handshake_refused: { status: 403, title: 'The gateway refused the worker', retryable: false },
  worker_revoked: { status: 403, title: 'The worker was revoked', retryable: false },
  worker_locked: { status: 403, title: 'The worker is locked: its certificate was used twice', retryable: false },
  enrolment_refused: { status: 403, title: 'The gateway makes no certificate for this request', retryable: false },
  already_linked: { status: 409, title: 'The worker is linked to this gateway already', retryable: true },
  superseded: { status: 409, title: 'A newer session of the same worker took over', retryable: false },
  peer_dead: { status: 504, title: 'The peer was silent for too long', retryable: true },
  write_stalled: { status: 504, title: 'The peer stopped reading', retryable: true },
  connection_lost: { status: 502, title: 'The connection was lost', retryable: true },
  // What an operator set up.
  config_invalid: { status: 500, title: 'The configuration cannot be used', retryable: false },
  model_invalid: { status: 500, title: 'The model folder cannot be used', retryable: false },
  deploy_locked: { status: 409, title: 'Somebody else changes what is released', retryable: true },
  release_invalid: { status: 500, title: 'The release cannot be used', retryable: false },
  release_unhealthy: { status: 500, title: 'The release did not become healthy', retryable: false },
  schema_too_new: {
    status: 409,
    title: 'The release that serves could not work with the new schema',
    retryable: false,
  },
  supervisor_unreachable: { status: 503, title: 'No supervisor answers', retryable: true },
  model_store_failed: { status: 502, title: 'The store of models did not do this', retryable: true },
  address_in_use: { status: 500, title: 'The address is already in use', retryable: false },
  deploy_failed: { status: 500, title: 'A step of the deploy failed', retryable: true },
  unreachable: { status: 502, title: 'The gateway could not be reached', retryable: true },
  internal: { status: 500, title: 'Something went wrong inside Postern', retryable: true },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface ErrorOptions {
  readonly cause?: unknown;
  /** Seconds after which the caller may try again; becomes `Retry-After`. */
  readonly retryAfterS?: number;
}

/** The one error class. `message` says what was expected, what came, and what to do; it never carries payloads. */
export class PosternError extends Error {
  override readonly name = 'PosternError';
  readonly code: ErrorCode;
  readonly retryAfterS: number | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryAfterS = options.retryAfterS;
  }

  get status(): number {
    return ERROR_CODES[this.code].status;
  }

  get title(): string {
    return ERROR_CODES[this.code].title;
  }

  get retryable(): boolean {
    return ERROR_CODES[this.code].retryable;
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERROR_CODES, value);
}

/** Whatever was thrown, as a PosternError: unknown things become `internal` and keep their cause for the log. */
export function toPosternError(thrown: unknown, fallback: ErrorCode = 'internal'): PosternError {
  if (thrown instanceof PosternError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new PosternError(fallback, message, { cause: thrown });
}
