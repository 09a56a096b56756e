/**
 * Requests that come too late: on connections to a gateway that another one has replaced. They are passed on to that one, over its
 * private socket, as if their caller had connected there; the answer closes the connection, so that the caller's next
 * request opens a new one. So nobody must be told to try again, and nothing is answered by a gateway that has no workers any more.
 */
import { request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { PosternError } from '../../errors.ts';
import { listenAt } from '../door.ts';
import { FORWARDED_HEADER } from './forwarded.ts';

/** Says whose request it is. Believed on the private socket, and nowhere else. */
const CALLER_HEADER = 'x-postern-caller-address';

const PRIVATE = Symbol('private');

/** These are about one connection, not about the request. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  // Answered here already: the body is on its way.
  'expect',
  CALLER_HEADER,
  FORWARDED_HEADER,
]);

interface MarkedSocket extends Socket {
  [PRIVATE]?: true;
}

export const isPrivate = (socket: Socket): boolean => (socket as MarkedSocket)[PRIVATE] === true;

/** Connections to `path` are the server's like all others, and bear the mark of who may say for whom they speak. */
export async function openPrivateSocket(server: Server, path: string): Promise<NetServer> {
  const door = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    (socket as MarkedSocket)[PRIVATE] = true;
    server.emit('connection', socket);
  });
  await listenAt(door, { path } as never);
  return door;
}

/** From here on the request looks as if its caller had connected itself. */
export function takeCaller(request: IncomingMessage): void {
  const address = request.headers[CALLER_HEADER];
  if (typeof address !== 'string') return;
  Reflect.deleteProperty(request.headers, CALLER_HEADER);
  Object.defineProperty(request.socket, 'remoteAddress', { value: address, configurable: true });
}

/** Resolves when the answer is out, or the caller gone. Rejects while nothing was sent yet. */
export function passOn(request: IncomingMessage, response: ServerResponse, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const { method, url: path } = request;
    // Node adds nothing to headers that are given in full: a body without a length needs its framing said.
    const framing = request.headers['transfer-encoding'] === undefined ? [] : ['transfer-encoding', 'chunked'];
    const headers = [...keptHeaders(request.rawHeaders), ...framing, CALLER_HEADER, request.socket.remoteAddress ?? ''];
    const onward = httpRequest({ socketPath, method, path, headers, agent: false, setDefaultHeaders: false });
    const fail = (error: Error): void => {
      onward.destroy();
      if (response.headersSent) response.destroy();
      else if (!response.destroyed) {
        const message = 'This gateway was replaced, and the one that replaced it cannot be reached: try again.';
        reject(new PosternError('draining', message, { retryAfterS: 1, cause: error }));
        return;
      }
      resolve();
    };
    onward.once('error', fail);
    onward.once('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, [...keptHeaders(answer.rawHeaders), 'connection', 'close']);
      // An event stream's head must not wait for its first event.
      response.flushHeaders();
      answer.pipe(response);
      answer.once('error', fail);
    });
    response.once('close', () => {
      onward.destroy();
      resolve();
    });
    request.pipe(onward);
  });
}

const NONE: ReadonlySet<string> = new Set();

/** Those of the message, and not of one connection. */
export function keptHeaders(rawHeaders: readonly string[], without: ReadonlySet<string> = NONE): string[] {
  const headers: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = rawHeaders.slice(index, index + 2);
    const lower = name.toLowerCase();
    if (!HOP_BY_HOP.has(lower) && !without.has(lower)) headers.push(name, value);
  }
  return headers;
}
