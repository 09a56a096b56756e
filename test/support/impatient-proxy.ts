/**
 * A proxy as they stand in companies and hotels: it passes requests on, and cuts those that have no answer after a moment. Only the ones that ask to
 * wait (`wait=`), so that a slow machine is not taken for a long question.
 */
import { createServer, request, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ImpatientProxy {
  readonly url: string;
  /** `GET /path?query`, in the order of their arrival, and whether they were cut. */
  readonly seen: readonly { readonly line: string; readonly isCut: boolean }[];
  stop(): Promise<void>;
}

const ASKS_TO_WAIT = /[?&]wait=/;

export async function startImpatientProxy(target: string, patienceMs: number): Promise<ImpatientProxy> {
  const seen: { line: string; isCut: boolean }[] = [];
  const { hostname, port } = new URL(target);
  const server = createServer((incoming: IncomingMessage, response) => {
    const note = { line: `${incoming.method} ${incoming.url}`, isCut: false };
    seen.push(note);
    const { method, url: path, headers } = incoming;
    const passed = request({ hostname, port, method, path, headers });
    const cut = (): void => {
      note.isCut = true;
      passed.destroy();
      response.destroy();
    };
    const timer = ASKS_TO_WAIT.test(path ?? '') ? setTimeout(cut, patienceMs) : undefined;
    passed.once('response', (answer) => {
      clearTimeout(timer);
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    passed.once('error', () => response.destroy());
    response.once('close', () => {
      clearTimeout(timer);
      passed.destroy();
    });
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
