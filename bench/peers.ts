/**
 * The same photos through the same network in Postern, in LitServe and in FastAPI + ONNX Runtime: images a second and p99, in
 * turn, on the same cores. The peers get the better of two settings each, tried at the start; Postern is as it is shipped,
 * with its durable queue and its link with mutual TLS, which they do not have.
 *
 *   bash bench/peers/plants/env.sh && npm run bench:peers      (needs wrk)
 *
 * One server runs at a time. 32 callers, forms with one JPEG of a megapixel.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { availableParallelism, loadavg } from 'node:os';
import { PosternSystem, until, untilModel } from '../test/support/postern.ts';
import { load, type LoadResult } from './support/load.ts';
import { examplePhoto } from './support/photo.ts';
import { atLeast, atMost, median, record, storeUsed } from './support/record.ts';

const ROUNDS = 3;
const ROUND_S = 5;
const TRIAL_S = 3;
const CALLERS = 32;
/** An import of ONNX Runtime and numpy on a machine that has other things to do. */
const START_MS = 60_000;
const folder = new URL('peers/plants/', import.meta.url).pathname;
const python = new URL('../.cache/peers/bin/python', import.meta.url).pathname;
const cores = availableParallelism();

interface Running {
  readonly url: string;
  /** The field of the form. */
  readonly field: string;
  readonly headers: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}
interface Server {
  readonly name: string;
  readonly settings: Readonly<Record<string, number>>;
  start(): Promise<Running>;
}

const postern: Server = {
  name: 'Postern',
  settings: {},
  async start() {
    const system = new PosternSystem({ env: { POSTERN_LOG_LEVEL: 'warn' } });
    try {
      const gateway = await system.gateway();
      system.worker(gateway, system.issue('bench'));
      await untilModel(gateway.url, 'plants');
      const url = `${gateway.url}/v1/models/local/plants/predictions`;
      return { url, field: 'image', headers: { Prefer: 'wait' }, stop: () => system.remove() };
    } catch (error) {
      await system.remove();
      throw error;
    }
  },
};

const fastApi = (workers: number, threads: number): Server => ({
  name: 'FastAPI + ONNX Runtime',
  settings: { workers, threads },
  start: () =>
    startPython('image', { threads }, (port) => [
      ...['-m', 'uvicorn', 'fastapi_plants:app', '--port', String(port), '--workers', String(workers)],
      ...['--log-level', 'error', '--no-access-log'],
    ]),
});

const litServe = (workers: number, threads: number, rows: number): Server => ({
  name: 'LitServe',
  settings: { workers, threads, rows },
  start: () => startPython('request', { threads, workers, rows }, (port) => ['litserve_plants.py', String(port)]),
});

async function startPython(
  field: string,
  settings: Readonly<Record<string, number>>,
  argsOf: (port: number) => string[],
): Promise<Running> {
  const port = await freePort();
  const own = Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [`BENCH_${key.toUpperCase()}`, `${value}`]),
  );
  // A group of its own: both start processes, and end with them.
  const child = spawn(python, argsOf(port), {
    cwd: folder,
    env: { ...process.env, ...own },
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4_000)));
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  const stop = async (): Promise<void> => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    await ended;
  };
  const url = `http://127.0.0.1:${port}/predict`;
  try {
    await until('the server', START_MS, async () => {
      const answer = await fetch(url, { method: 'POST', ...(await formOf(field)) });
      await answer.arrayBuffer();
      return answer.ok ? true : null;
    });
  } catch (error) {
    await stop();
    throw new Error(`${argsOf(port).join(' ')} did not start:\n${errors}`, { cause: error });
  }
  return { url, field, headers: {}, stop };
}

const photo = await examplePhoto();

/** The bytes of a form, so that every request is the same. */
async function formOf(field: string): Promise<{ body: Buffer<ArrayBuffer>; headers: Record<string, string> }> {
  const form = new FormData();
  form.append(field, new Blob([photo], { type: 'image/jpeg' }), 'photo.jpg');
  const packed = new Response(form);
  const contentType = packed.headers.get('content-type') ?? '';
  return { body: Buffer.from(await packed.arrayBuffer()), headers: { 'content-type': contentType } };
}

async function measure(server: Server, seconds: number): Promise<LoadResult> {
  const running = await server.start();
  try {
    const { body, headers } = await formOf(running.field);
    const request = { url: running.url, connections: CALLERS, body, headers: { ...headers, ...running.headers } };
    await load({ ...request, seconds: 1 });
    return await load({ ...request, seconds });
  } finally {
    await running.stop();
  }
}

async function better(one: Server, other: Server): Promise<Server> {
  const [a, b] = [await measure(one, TRIAL_S), await measure(other, TRIAL_S)];
  return a.requestsPerSecond >= b.requestsPerSecond ? one : other;
}

if (!existsSync(python)) {
  console.error('The peers are not installed: bash bench/peers/plants/env.sh');
  process.exit(1);
}
const servers = [
  postern,
  await better(litServe(1, cores, 16), litServe(cores, 1, 8)),
  await better(fastApi(cores, 1), fastApi(1, cores)),
];
const rounds: Record<string, { imagesPerSecond: number; p50Ms: number; p99Ms: number }>[] = [];
for (let round = 1; round <= ROUNDS; round += 1) {
  const row: (typeof rounds)[number] = {};
  for (const server of servers) {
    const { requestsPerSecond: imagesPerSecond, p50Ms, p99Ms } = await measure(server, ROUND_S);
    row[server.name] = { imagesPerSecond, p50Ms, p99Ms };
    console.log(`round ${round}/${ROUNDS}: ${server.name} ${imagesPerSecond.toFixed(1)}/s, p99 ${p99Ms.toFixed(0)} ms`);
  }
  rounds.push(row);
}
const ratio = (peer: string, of: 'imagesPerSecond' | 'p99Ms'): number =>
  median(rounds.map((row) => row[postern.name]![of] / row[peer]![of]));
record(
  'peers',
  servers
    .slice(1)
    .flatMap(({ name }) => [
      atLeast(`images/s, to ${name}`, ratio(name, 'imagesPerSecond'), '×', 1),
      atMost(`p99, to ${name}`, ratio(name, 'p99Ms'), '×', 1),
    ]),
  {
    store: storeUsed(),
    settings: Object.fromEntries(servers.map(({ name, settings }) => [name, settings])),
    photoBytes: photo.length,
    callers: CALLERS,
    secondsPerRound: ROUND_S,
    loadAverage: loadavg()[0],
    rounds,
  },
);

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
