/** Where the cluster's webhooks arrive: what is told must be a decision, and the same as was read. */
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { Promises, Prediction } from '../crash/promises.ts';

export interface Receiver {
  /** Ids that were told, with how often: a receiver may be told again. */
  readonly heard: ReadonlyMap<string, number>;
  close(): void;
}

const MAX_BODY_BYTES = 1024 * 1024;

export async function openReceiver(host: string, port: number, promises: Promises): Promise<Receiver> {
  const heard = new Map<string, number>();
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (part: string) => {
      if (text.length < MAX_BODY_BYTES) text += part;
    });
    request.on('end', () => {
      response.end();
      const prediction = JSON.parse(text) as Prediction;
      heard.set(prediction.id, (heard.get(prediction.id) ?? 0) + 1);
      promises.look(prediction, true);
    });
    request.on('error', () => undefined);
  });
  server.listen(port, host);
  await once(server, 'listening');
  return { heard, close: () => void server.close().closeAllConnections() };
}
