/**
 * The callers' connections. Owner of: how many each address has, and whose request each one carries now.
 *
 * The latter is one field on the socket and no collection, because it is written for every request: when a key ends, the few
 * thousand sockets are looked through, which is rare.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Access } from './access.ts';
import { addressGroup, type Proxies } from './address.ts';
import { isPeer } from './forwarded.ts';
import { isPrivate } from './late.ts';

const HOLDER = Symbol('holder');

interface HeldSocket extends Socket {
  [HOLDER]: Access | null;
  /** Node's own: the answer that is under way on this connection. */
  readonly _httpMessage?: object | null;
}

export interface Connections {
  /** From now on this server's connections are counted, and those beyond the limit are closed unread. */
  guard(server: Server): void;
  /** The request that this connection now carries is this caller's. */
  hold(socket: Socket, access: Access): void;
  /** Of callers. */
  readonly count: number;
  /** Resolves when the last one is gone. */
  gone(): Promise<void>;
  /** Cuts every connection on which this caller's request is being answered. An idle one may be a proxy's, and next somebody else's. */
  cut(access: Access): void;
}

export interface ConnectionLimits {
  /** Of one address, trusted proxies excepted. */
  readonly maxPerAddress: number;
  readonly proxies: Proxies;
}

export function createConnections({ maxPerAddress, proxies }: ConnectionLimits): Connections {
  const sockets = new Set<HeldSocket>();
  const counts = new Map<string, number>();
  const leaving = new Set<() => void>();

  return {
    get count() {
      return sockets.size;
    },
    gone: () => (sockets.size === 0 ? Promise.resolve() : new Promise((resolve) => leaving.add(resolve))),
    guard(server) {
      server.on('connection', (plain: Socket) => {
        const socket = plain as HeldSocket;
        socket[HOLDER] = null;
        // Those of this machine's own processes and of other gateways are no caller's.
        if (isPrivate(socket) || isPeer(socket)) return;
        const address = socket.remoteAddress ?? '';
        const group = addressGroup(address);
        const count = counts.get(group) ?? 0;
        if (count >= maxPerAddress && !proxies.has(address)) {
          socket.destroy();
          return;
        }
        sockets.add(socket);
        counts.set(group, count + 1);
        socket.once('close', () => {
          sockets.delete(socket);
          if (sockets.size === 0) for (const resolve of leaving) resolve();
          const left = (counts.get(group) ?? 1) - 1;
          if (left > 0) counts.set(group, left);
          else counts.delete(group);
        });
      });
    },
    hold(socket, access) {
      (socket as HeldSocket)[HOLDER] = access;
    },
    cut(access) {
      for (const socket of sockets) {
        if (socket[HOLDER] === access && Boolean(socket._httpMessage)) socket.destroy();
      }
    },
  };
}
