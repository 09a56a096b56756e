/**
 * The one way a request is answered: a route is a function from a call to an answer, and `serve` does the rest for all of
 * them: errors to problems, the request id, the counts, bodies that were refused half-way, callers who left.
 *
 * Answers are written to Node's response directly. Fastify routes and parses nothing: its reply, hooks and serialisers
 * would cost more than the rest of the gateway's HTTP part together.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import type { PosternError } from '../../errors.ts';
import { allowOrigin } from './cors.ts';
import { PUBLIC_ACCESS, type Access, type RouteScope } from './access.ts';
import { announcedBytes, CallerGone, hasBody } from './body.ts';
import { isPeer, refusedHeaders } from './forwarded.ts';
import {
  PROBLEM_TYPE,
  renderProblem,
  retryAfterOf,
  toCallerError,
  type ErrorForm,
  type ProblemContext,
} from './problem.ts';

export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string | string[] | undefined>>;
  /** Echoed as X-Request-Id, and in every problem and log line about this request. */
  readonly id: string;
  /** The id of the API key, or `anonymous`. */
  readonly caller: string;
  readonly access: Access;
}

export interface Answer {
  readonly status: number;
  /** Names and values in turn, lower case. Content-Length and X-Request-Id are added. */
  readonly headers: readonly string[];
  /** Several pieces go out one after another, as they are. */
  readonly body: string | Uint8Array | readonly Uint8Array[];
}

/** An answer that goes on: `stream` writes until it is over. */
export interface StreamAnswer {
  readonly status: number;
  readonly headers: readonly string[];
  /** Resolves when nothing more is to be written; the response is ended then. */
  stream(response: ServerResponse): Promise<void>;
  /** The caller left before it began, or asked for the headers alone. */
  abandon(): void;
}

export interface Route {
  /** `ANY`: all but OPTIONS; the handler judges the method itself. */
  readonly method: 'GET' | 'POST' | 'DELETE' | 'ANY';
  readonly path: string;
  readonly scope: RouteScope;
  handle(call: Call): Answer | Promise<Answer | StreamAnswer>;
}

/** Answers of this kind go out by the thousand; everything else about them is the same. */
export const JSON_HEADERS: readonly string[] = [
  'content-type',
  'application/json; charset=utf-8',
  'cache-control',
  'no-store',
];

export function json(status: number, body: string, more?: readonly string[]): Answer {
  return { status, headers: more === undefined ? JSON_HEADERS : [...JSON_HEADERS, ...more], body };
}

export function problem(error: PosternError, context: ProblemContext): Answer & { readonly body: string } {
  const isProblem = context.form === undefined || context.form === 'problem';
  const type = isProblem ? PROBLEM_TYPE : 'application/json; charset=utf-8';
  const headers = ['content-type', type, 'cache-control', 'no-store'];
  if (error.code === 'unauthorized') headers.push('www-authenticate', 'Bearer realm="postern"');
  const retryAfterS = retryAfterOf(error);
  if (retryAfterS !== undefined) headers.push('retry-after', String(retryAfterS));
  return { status: error.status, headers, body: renderProblem(error, context) };
}

/** Answered requests of one route by status. */
export type StatusCounts = Map<number, number>;

export interface Desk {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Says who the caller is, or throws why there is no answer. */
  readonly admit: (scope: RouteScope, request: IncomingMessage) => Access;
  /** Origins of other sites whose pages may call; null: none. */
  readonly corsOrigins: ReadonlySet<string> | null;
  /** Callers reach the gateway by HTTPS, and browsers are told to use nothing else. */
  readonly isHttps: boolean;
  /** True once the gateway drains: answers ask callers to open a new connection. */
  readonly draining: () => boolean;
  /** Asked while it drains: true when another gateway answers this request instead. */
  readonly passOn: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Called when a request begins (+1) and when it is over (-1). */
  readonly onInFlight: (change: 1 | -1) => void;
}

/** Nginx's word for a caller that left before the answer; it never goes over the wire, only into the counts. */
const CALLER_LEFT = 499;
/** A refused sender may go on for so long before the connection is cut, so that it reads the answer and not a reset. */
const LINGER_MS = 2_000;
/** Of a request of another gateway that is refused before its body is read. */
const MAX_READ_ON_BYTES = 64 * 1024;

/** A year, for this name alone: what else its domain serves is not ours to say. */
const STRICT_TRANSPORT = 'max-age=31536000';

/** Makes the Fastify handler of a route. `counts` belongs to the route and is only ever counted up. */
export function serve(
  route: Route,
  counts: StatusCounts,
  desk: Desk,
): (request: FastifyRequest, reply: FastifyReply) => void {
  return (request, reply) => {
    reply.hijack();
    void answer(route, counts, desk, {
      request: request.raw,
      response: reply.raw,
      params: request.params as Call['params'],
      query: request.query as Call['query'],
      id: request.id,
      caller: PUBLIC_ACCESS.caller,
      access: PUBLIC_ACCESS,
    });
  };
}

/** For what is refused before a route was found or its handler began. */
export function sendProblem(
  thrown: unknown,
  { request, response, id }: Pick<Call, 'request' | 'response' | 'id'>,
  desk: Desk,
): void {
  const nobody = { caller: PUBLIC_ACCESS.caller, access: PUBLIC_ACCESS };
  const call: Call = { request, response, params: {}, query: {}, id, ...nobody };
  write(call, refusal(thrown, '-', desk, call), desk);
}

/** A call before its caller is known: the same object, so that no request pays for a second one. */
type Arrival = { -readonly [Key in keyof Call]: Call[Key] };

async function answer(route: Route, counts: StatusCounts, desk: Desk, call: Arrival): Promise<void> {
  desk.onInFlight(1);
  let status = CALLER_LEFT;
  try {
    if (desk.corsOrigins !== null && !isPeer(call.request.socket))
      allowOrigin(call.request, call.response, desk.corsOrigins);
    let result: Answer | StreamAnswer;
    try {
      const access = desk.admit(route.scope, call.request);
      call.access = access;
      call.caller = access.caller;
      result = await route.handle(call);
    } catch (thrown) {
      if (thrown instanceof CallerGone) {
        call.response.destroy();
        return;
      }
      result = refusal(thrown, route.path, desk, call);
    }
    if ('stream' in result) {
      if (!call.response.destroyed) status = result.status;
      await writeStream(call, result, desk);
      return;
    }
    if (call.response.destroyed) return;
    write(call, result, desk);
    status = result.status;
  } catch (error) {
    desk.logger.error('answer failed', { route: route.path, requestId: call.id, error });
    call.response.destroy();
  } finally {
    counts.set(status, (counts.get(status) ?? 0) + 1);
    desk.onInFlight(-1);
  }
}

function refusal(thrown: unknown, route: string, desk: Desk, call: Call): Answer {
  const error = toCallerError(thrown);
  if (error.code === 'internal') {
    desk.logger.error('request failed', { route, requestId: call.id, error: error.cause ?? error });
  }
  const answer = problem(error, { requestId: call.id, form: errorForm(call.request) });
  return { ...answer, headers: [...answer.headers, ...refusedHeaders(error, call.request)] };
}

/** Two of the protocols spoken here have a form of an error of their own. */
export function errorForm({ url = '' }: IncomingMessage): ErrorForm {
  if (url.startsWith('/v2') && /^\/v2(?:[/?]|$)/.test(url)) return 'open-inference';
  return url.startsWith('/openai/') ? 'openai' : 'problem';
}

function write({ request, response, id }: Call, { status, headers, body }: Answer, desk: Desk): void {
  const length = lengthOf(body);
  const unread = !request.complete && hasBody(request);
  const lines = [...headers, 'x-request-id', id];
  if (desk.isHttps && !isPeer(request.socket)) lines.push('strict-transport-security', STRICT_TRANSPORT);
  if (status !== 304 && status !== 204) lines.push('content-length', String(length));
  if ((unread && !isSoonRead(request)) || desk.draining()) lines.push('connection', 'close');
  response.writeHead(status, lines);
  if (!unread) {
    if (typeof body === 'object' && !(body instanceof Uint8Array)) {
      if (length <= MERGED_BYTES) response.end(body.map(latin1).join(''), 'latin1');
      else writePieces(response, body);
      return;
    }
    // As many bytes as characters: all ASCII, which Node writes faster when it is told so.
    if (typeof body === 'string' && length === body.length) response.end(body, 'latin1');
    else if (typeof body !== 'string' && length <= MERGED_BYTES) response.end(latin1(body), 'latin1');
    else response.end(body);
    return;
  }
  // The sender is still sending. Closing now would reset the connection under the answer: read on, into nothing.
  for (const piece of typeof body === 'string' || body instanceof Uint8Array ? [body] : body) response.write(piece);
  const timer = desk.clock.after(LINGER_MS, () => response.end());
  const done = (): void => {
    timer.cancel();
    response.end();
  };
  request.once('end', done);
  request.once('close', done);
  request.resume();
}

/** Another gateway asks the next one with the same body: what is left of a small one costs less than a new connection. */
const isSoonRead = (request: IncomingMessage): boolean =>
  isPeer(request.socket) && (announcedBytes(request) ?? Infinity) <= MAX_READ_ON_BYTES;

function lengthOf(body: Answer['body']): number {
  if (typeof body === 'string') return Buffer.byteLength(body);
  if (body instanceof Uint8Array) return body.byteLength;
  let bytes = 0;
  for (const piece of body) bytes += piece.byteLength;
  return bytes;
}

/**
 * Node joins a head and a text to one write, and sends a head and bytes as two pieces: 13 against 15 µs of processor for an
 * answer of 1 KiB. As Latin-1 every byte is one character and comes out as it was. libuv writes up to 16 KiB, the head
 * included, without asking for memory.
 */
const MERGED_BYTES = 15 * 1024;

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');

function writePieces(response: ServerResponse, pieces: readonly Uint8Array[]): void {
  response.cork();
  for (const piece of pieces) if (piece.byteLength > 0) response.write(piece);
  response.end();
  response.uncork();
}

async function writeStream({ request, response, id }: Call, answer: StreamAnswer, desk: Desk): Promise<void> {
  if (response.destroyed || request.method === 'HEAD') answer.abandon();
  if (response.destroyed) return;
  const lines = [...answer.headers, 'x-request-id', id];
  if (desk.isHttps && !isPeer(request.socket)) lines.push('strict-transport-security', STRICT_TRANSPORT);
  if (desk.draining()) lines.push('connection', 'close');
  response.writeHead(answer.status, lines);
  if (request.method !== 'HEAD') {
    response.flushHeaders();
    await answer.stream(response);
  }
  response.end();
}
