/** An HTTP service over fake predictions on a port of the system's choice, and ways to talk to it below fetch. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { parseGatewayConfig, type GatewayConfigInput } from '../../src/gateway/config.ts';
import { createHttpService, type HttpService } from '../../src/gateway/http/http.ts';
import type { LogFields, Logger } from '../../src/logger.ts';
import { createFakePredictions, type FakePredictions } from './fake-predictions.ts';

export interface RunningHttp {
  readonly base: string;
  readonly port: number;
  readonly fake: FakePredictions;
  readonly service: HttpService;
  /** What was logged as an error. */
  readonly errors: (LogFields & { message: string })[];
}

export async function startHttp(t: TestContext, http: GatewayConfigInput['http'] = {}): Promise<RunningHttp> {
  const fake = createFakePredictions(['plants', 'echo']);
  const errors: RunningHttp['errors'] = [];
  const quiet = (): void => undefined;
  const logger: Logger = {
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: (message, fields) => void errors.push({ ...fields, message }),
    child: () => logger,
  };
  const { http: config } = parseGatewayConfig({ dataDir: '/nowhere', http: { port: 0, ...http } });
  const service = createHttpService({
    predictions: fake,
    onDecided: fake.onDecided,
    config,
    logger,
    clock: systemClock,
  });
  await service.start();
  t.after(() => service.stop());
  return { base: `http://127.0.0.1:${service.port}`, port: service.port, fake, service, errors };
}

/** Waits for a state, not for time: looks again after every turn of the event loop, and gives up by the test's timeout. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** Sends bytes over a bare socket and collects what comes back until the other side closes. */
export async function exchange(port: number, text: string | Uint8Array): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', () => undefined);
  socket.write(text);
  await once(socket, 'close');
  return Buffer.concat(chunks).toString();
}

/** One part of a hand-made form. */
export function part(headers: string, body: string, boundary = 'b'): string {
  return `--${boundary}\r\n${headers}\r\n\r\n${body}\r\n`;
}

export function post(path: string, contentType: string, body: string, headers = ''): string {
  return `POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: ${contentType}\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
