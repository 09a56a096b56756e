/**
 * A web server over a folder of models, as nginx would serve it (with `Range`), that can be told to cut, to stall, to change
 * or to know no ranges. It runs in the test's process; what it was asked is kept.
 */
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { KeyAndCertificate } from '../../src/identity/certificate.ts';

export interface ModelWeb {
  readonly url: string;
  /** Paths with their `Range` header, in the order of arrival. */
  readonly asked: { readonly path: string; readonly range: string | null }[];
  /** What happens to the next requests of weights, in turn; none left: they are served. */
  readonly faults: ModelWebFault[];
  stop(): Promise<void>;
}

export type ModelWebFault =
  /** Ends the connection after so many bytes. */
  | { readonly type: 'cut'; readonly afterBytes: number }
  /** Sends so many bytes and then nothing; resolves `stalled` when they were given away. */
  | { readonly type: 'hold'; readonly afterBytes: number; readonly held: () => void }
  | { readonly type: 'status'; readonly status: number }
  | { readonly type: 'no-range' };

/** Weights are larger. */
const SMALL_BYTES = 10_000;

export async function startModelWeb(folder: string, tls?: KeyAndCertificate): Promise<ModelWeb> {
  const asked: ModelWeb['asked'] = [];
  const faults: ModelWebFault[] = [];

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = decodeURIComponent((request.url ?? '/').split('?')[0] ?? '/');
    const range = request.headers.range ?? null;
    asked.push({ path, range });
    const size = await stat(join(folder, path)).then(
      (info) => (info.isFile() ? info.size : null),
      () => null,
    );
    if (size === null) {
      response.writeHead(404).end('nothing here');
      return;
    }
    const fault = path.includes('/files/') && size > SMALL_BYTES ? faults.shift() : undefined;
    if (fault?.type === 'status') {
      response.writeHead(fault.status).end();
      return;
    }
    const from = fault?.type === 'no-range' ? 0 : Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
    response.writeHead(from === 0 ? 200 : 206, {
      'content-length': size - from,
      ...(from === 0 ? {} : { 'content-range': `bytes ${from}-${size - 1}/${size}` }),
    });
    const limit = fault?.type === 'cut' || fault?.type === 'hold' ? fault.afterBytes : Infinity;
    if (size - from === 0) {
      response.end();
      return;
    }
    const content = createReadStream(join(folder, path), { start: from, end: Math.min(size, from + limit) - 1 });
    for await (const part of content) {
      // Handed to the system, so that a cut comes after it and not instead of it.
      await new Promise((resolve) => response.write(part, resolve));
    }
    if (fault?.type === 'cut') response.destroy();
    else if (fault?.type === 'hold') fault.held();
    else response.end();
  }

  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    answer(request, response).catch(() => response.destroy());
  };
  const server =
    tls === undefined ? createServer(listener) : createTlsServer({ key: tls.keyPem, cert: tls.certPem }, listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `${tls === undefined ? 'http://127.0.0.1' : 'https://localhost'}:${(server.address() as AddressInfo).port}`,
    asked,
    faults,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
