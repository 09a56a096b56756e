/**
 * A socket that is bound and on which this process never accepts: it is inherited by instances, and each of them listens on it. As long as
 * it is open here, no connection is refused while an instance is started again; the kernel keeps it waiting.
 *
 * Node has no public call for that: a `net.Server` accepts as soon as it listens. `net._createServerHandle` is what node:cluster's
 * primary uses for the same purpose; releases bring their own Node, so what is used here is what was tested.
 */
import * as net from 'node:net';
import { isIP } from 'node:net';
import { lookup } from 'node:dns/promises';
import { getSystemErrorName } from 'node:util';
import { PosternError } from '../errors.ts';

export interface BoundSocket {
  readonly fd: number;
  readonly host: string;
  readonly port: number;
  close(): void;
}

interface Handle {
  readonly fd: number;
  close(): void;
  getsockname(out: { address?: string; port?: number }): number;
}

type CreateHandle = (address: string, port: number, type: 4 | 6, fd: number, flags: number) => Handle | number;

/** UV_TCP_REUSEPORT. A supervisor that was killed leaves its socket with its instances; the next one must be able to bind beside it. */
const REUSE_PORT = 2;

/** Throws address_in_use or config_invalid. `port` 0: the system chooses. */
export async function bindSocket(host: string, port: number): Promise<BoundSocket> {
  const create = (net as unknown as { _createServerHandle?: CreateHandle })._createServerHandle;
  if (create === undefined) {
    throw new PosternError(
      'config_invalid',
      `Node ${process.versions.node} cannot bind a socket for others: use the Node that the release brings`,
    );
  }
  const address = isIP(host) === 0 ? (await resolve(host)).address : host;
  const handle = create(address, port, isIP(address) === 6 ? 6 : 4, -1, REUSE_PORT);
  if (typeof handle === 'number') throw refusal(host, port, getSystemErrorName(handle));
  const name: { address?: string; port?: number } = {};
  const status = handle.getsockname(name);
  // The system's "in use" comes late: bind seems to work, and then the socket has no name.
  if (status !== 0 || name.port === undefined || name.port === 0) {
    handle.close();
    throw refusal(host, port, 'EADDRINUSE');
  }
  return { fd: handle.fd, host: address, port: name.port, close: () => handle.close() };
}

async function resolve(host: string): Promise<{ address: string }> {
  try {
    return await lookup(host);
  } catch (error) {
    throw refusal(host, 0, (error as NodeJS.ErrnoException).code ?? 'ENOTFOUND');
  }
}

function refusal(host: string, port: number, code: string): PosternError {
  const where = `${host}:${port}`;
  if (code === 'EADDRINUSE') {
    return new PosternError(
      'address_in_use',
      `${where} is already in use: stop what listens there, or choose another port`,
    );
  }
  const todo =
    code === 'EACCES' ? 'choose a port above 1023, or give the unit CAP_NET_BIND_SERVICE' : 'correct the address';
  return new PosternError('config_invalid', `${where} cannot be bound (${code}): ${todo}`);
}
