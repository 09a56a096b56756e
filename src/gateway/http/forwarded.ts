/**
 * Requests that another gateway of this installation passes on: who asked was found out where the request arrived, and travels in a header. It
 * is believed on connections of the internal port, and nowhere else.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { z } from 'zod';
import { PosternError, type ErrorCode } from '../../errors.ts';
import type { Access, RouteScope } from './access.ts';

export const FORWARDED_HEADER = 'x-postern-forwarded';
/** On an answer: this gateway did not begin with it, so that another one may. The value is the code of the refusal. */
export const REFUSED_HEADER = 'x-postern-refused';

/** What a gateway adds to the headers of a request at most: of a key for 64 models, the most that it can name, 6 KiB, and some short ones. */
export const MAX_ADDED_BYTES = 8 * 1024;

/** Refusals from before anything of the request was worked on. */
const NOT_BEGUN: ReadonlySet<ErrorCode> = new Set(['no_worker', 'draining', 'maintenance', 'model_not_found']);
/** All that one gateway asks another one for. */
const FORWARDABLE =
  /^\/(?:v2\/models\/[^/]+\/(?:versions\/[^/]+\/)?infer|services\/.+|openai\/v1\/.+|v1\/predictions\/[^/]+\/stream)(?:\?|$)/;

const PEER = Symbol('peer');

interface PeerSocket extends Socket {
  /** The id of the gateway at the other end. */
  [PEER]?: string;
}

export function markPeer(socket: Socket, id: string): void {
  (socket as PeerSocket)[PEER] = id;
}

export const isPeer = (socket: Socket): boolean => (socket as PeerSocket)[PEER] !== undefined;

const accessSchema = z.strictObject({
  caller: z.string().min(1).max(200),
  admin: z.boolean(),
  models: z.array(z.string().max(200)).max(10_000).nullable(),
  maxUndecidedJobs: z.int().min(0).nullable(),
});

export function encodeAccess({ caller, admin, models, maxUndecidedJobs }: Access): string {
  const value: z.infer<typeof accessSchema> = { caller, admin, models: models && [...models], maxUndecidedJobs };
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** Who asked, of a request on a peer's connection. Throws forbidden. */
export function forwardedAccess(request: IncomingMessage, scope: RouteScope): Access {
  const header = request.headers[FORWARDED_HEADER];
  if (typeof header !== 'string' || scope !== 'predict' || !FORWARDABLE.test(request.url ?? '')) throw notHere();
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(header, 'base64url').toString('utf8'));
  } catch {
    throw notHere();
  }
  const { success, data } = accessSchema.safeParse(value);
  if (!success) throw notHere();
  return { ...data, models: data.models && new Set(data.models) };
}

const notHere = (): PosternError =>
  new PosternError('forbidden', 'This port is for requests that another gateway passes on, and for nothing else.');

/** What an answer to a peer says beside, when it is this refusal. */
export function refusedHeaders({ code }: PosternError, request: IncomingMessage): readonly string[] {
  return isPeer(request.socket) && NOT_BEGUN.has(code) ? [REFUSED_HEADER, code] : [];
}
