/** An HTTP service over fake predictions on a port of the system's choice, and ways to talk to it below fetch. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { PosternError, type ErrorCode } from '../../src/errors.ts';
import { createOutbound } from '../../src/gateway/outbound/outbound.ts';
import { outboundRules, parseGatewayConfig, type GatewayConfigInput } from '../../src/gateway/config.ts';
import type { Files } from '../../src/gateway/files/files.ts';
import { createLocalFiles } from '../../src/gateway/files/place.ts';
import { createHttpService, type HttpService } from '../../src/gateway/http/http.ts';
import type { App, Webhooks } from '../../src/gateway/ports.ts';
import { createScaling, type Scaling } from '../../src/gateway/scaling/scaling.ts';
import { createCallers } from '../../src/identity/callers.ts';
import { openRecords, type Records } from '../../src/identity/records.ts';
import { createMemoryStore } from '../../src/store/memory.ts';
import { silentLogger, type LogFields, type Logger } from '../../src/logger.ts';
import { createFakePredictions, type FakePredictions, noOthers, noRollouts, noServices } from './fake-predictions.ts';

export interface RunningHttp {
  readonly base: string;
  readonly port: number;
  readonly fake: FakePredictions;
  readonly service: HttpService;
  /** What was logged as an error. */
  readonly errors: (LogFields & { message: string })[];
  /** Where keys are made. */
  readonly records: Records;
}

/** Control records in a folder of their own. */
export function openTestRecords(t: TestContext): Records {
  const folder = mkdtempSync(join(tmpdir(), 'postern-http-'));
  const records = openRecords(folder);
  t.after(() => {
    records.close();
    rmSync(folder, { recursive: true });
  });
  return records;
}

/** Uploaded files in a folder of their own. */
export async function openTestFiles(t: TestContext, limits: GatewayConfigInput['files'] = {}): Promise<Files> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-files-'));
  const { files: config } = parseGatewayConfig({ dataDir: folder, files: limits });
  const files = createLocalFiles({ dataDir: folder, clock: systemClock, logger: silentLogger, ...config });
  await files.start();
  t.after(async () => {
    await files.stop();
    rmSync(folder, { recursive: true });
  });
  return files;
}

export const fakeWebhooks: Webhooks = {
  secretOf: (caller) => Promise.resolve(`whsec_${caller}`),
  list: () => Promise.resolve({ deliveries: [], next: null }),
  ofJob: () => Promise.resolve([]),
  pending: () => Promise.resolve(0),
  resend: () => Promise.resolve(null),
};

export interface StartHttp {
  /** What may be requested on a caller's behalf beside public addresses. */
  readonly allow?: string[];
  /** Those of another service, to be the next one over them. */
  readonly records?: Records;
  readonly apps?: readonly App[];
  readonly webhooks?: Webhooks;
  readonly files?: GatewayConfigInput['files'];
  readonly fake?: FakePredictions;
}

/** Real, over the models of the fake and an empty store. Not started: it looks when it is asked first. */
export function testScaling(fake: Pick<FakePredictions, 'models' | 'onDecided'>, models = ['plants', 'echo']): Scaling {
  const store = createMemoryStore({ clock: systemClock });
  return createScaling({
    clock: systemClock,
    logger: silentLogger,
    id: 'test',
    state: () => 'serving',
    queues: { shared: store, own: createMemoryStore({ clock: systemClock }) },
    seats: () => new Map(),
    knownModels: () => models,
    sessions: () => 0,
    callers: () => ({ requests: 0, connections: 0 }),
    others: () => [],
    onDecided: fake.onDecided,
  });
}

export async function startHttp(
  t: TestContext,
  http: GatewayConfigInput['http'] = {},
  { allow = [], records = openTestRecords(t), apps = [], webhooks = fakeWebhooks, files = {}, ...more }: StartHttp = {},
): Promise<RunningHttp> {
  const fake = more.fake ?? createFakePredictions(['plants', 'echo']);
  const errors: RunningHttp['errors'] = [];
  const quiet = (): void => undefined;
  const logger: Logger = {
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: (message, fields) => void errors.push({ ...fields, message }),
    child: () => logger,
  };
  const parsed = parseGatewayConfig({ dataDir: '/nowhere', http: { port: 0, ...http }, outbound: { allow } });
  const { http: config } = parsed;
  const service = createHttpService({
    callers: createCallers({ records, clock: systemClock, logger }),
    predictions: fake,
    services: noServices,
    scaling: testScaling(fake),
    rollouts: noRollouts,
    ...noOthers,
    apps,
    fault: () => null,
    onDecided: fake.onDecided,
    stats: () => ({ totals: fake.totals }),
    webhooks,
    config,
    files: await openTestFiles(t, files),
    outbound: createOutbound({ clock: systemClock, rules: outboundRules(parsed.outbound) }),
    logger,
    clock: systemClock,
  });
  t.after(() => service.stop());
  await service.start();
  return { base: `http://127.0.0.1:${service.port}`, port: service.port, fake, service, errors, records };
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

export const MODEL = '/v1/models/local/plants/predictions';
/** Headers of a file part. */
export const FILE = 'content-disposition: form-data; name="image"; filename="a.jpg"\r\ncontent-type: image/jpeg';

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
  request_id: string;
  retry_after?: number;
}

/** Checks the whole shape of a problem, and that the service still works afterwards. */
export async function refused(running: RunningHttp, response: Response, code: ErrorCode): Promise<Problem> {
  const text = await response.text();
  assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/, text);
  const problem = JSON.parse(text) as Problem;
  assert.equal(problem.code, code, problem.detail);
  assert.equal(problem.status, response.status);
  assert.equal(problem.status, new PosternError(code, '').status);
  assert.equal(problem.type, `/docs/errors#${code}`);
  assert.ok(problem.title.length > 0 && problem.detail.length > 0);
  assert.equal(problem.request_id, response.headers.get('x-request-id'));
  assert.equal((await fetch(`${running.base}/livez`)).status, 200);
  assert.deepEqual(running.errors, []);
  return problem;
}

/** The answer to bytes written on a bare socket, as a Response. */
export async function raw(running: RunningHttp, text: string | Uint8Array): Promise<Response> {
  const answer = await exchange(running.port, text);
  const [head = '', ...rest] = answer.split('\r\n\r\n');
  const [statusLine = '', ...lines] = head.split('\r\n');
  const headers = lines.map((line): [string, string] => [
    line.slice(0, line.indexOf(':')),
    line.slice(line.indexOf(':') + 2),
  ]);
  return new Response(rest.join('\r\n\r\n'), { status: Number(statusLine.split(' ')[1]), headers });
}

export async function send(
  running: RunningHttp,
  contentType: string | null,
  body: RequestInit['body'],
  path = MODEL,
): Promise<Response> {
  const headers = contentType === null ? undefined : { 'content-type': contentType };
  return fetch(running.base + path, { method: 'POST', body, headers });
}
