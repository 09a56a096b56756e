/** The port of the HTTP server: which one it is, and what is said when it cannot be had. */
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { PosternError } from '../../errors.ts';
import type { HttpConfig } from '../config.ts';

export function portOf(app: FastifyInstance | null): number {
  const address = app?.server.address() as AddressInfo | null | undefined;
  return address?.port ?? 0;
}

export function listenError(error: unknown, { host, port }: HttpConfig): unknown {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return error;
  const message = `Port ${port} on ${host} is taken by another process. Stop it, or choose another port (POSTERN_HTTP_PORT).`;
  return new PosternError('address_in_use', message, { cause: error });
}
