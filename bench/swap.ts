/**
 * Does a caller notice that another version takes over? Requests are sent at a steady pace, whatever becomes of those before:
 * first with nothing else going on, then while one version after another is deployed (loaded, tried, served, the one before
 * drained and unloaded), then once more with nothing else. Slow is what takes more than twice the p99 of the first part; the last
 * part says how many are slow on this machine without any deployment.
 *
 *   npm run bench:swap
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { createClient } from '../src/client/client.ts';
import { makeVersionFolder } from '../test/support/model-versions.ts';
import { PosternSystem, until, untilModel } from '../test/support/postern.ts';
import { atMost, record } from './support/record.ts';

const QUIET_S = 15;
const SWAPS = 6;
/** Above this the machine did not keep the pace, and what is slow beside that says nothing. */
const PACE_MS = 500;
const agent = new Agent({ keepAlive: true });

interface Load {
  readonly url: string;
  readonly contentType: string;
  readonly body: Buffer;
  readonly perSecond: number;
}

interface Part {
  readonly times: readonly number[];
  readonly failed: number;
}

/** One request; its time in ms, or null when it failed. */
function ask({ url, contentType, body }: Load, dueAt: number): Promise<number | null> {
  return new Promise((resolve) => {
    const headers = { 'content-type': contentType, 'content-length': body.length, prefer: 'wait=60' };
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve(text.includes('"status":"succeeded"') ? performance.now() - dueAt : null));
      response.on('error', () => resolve(null));
    });
    sent.on('error', () => resolve(null));
    sent.end(body);
  });
}

/** Sends at its pace until `end` is settled. A request that is late because of those before counts from when it was due. */
async function during(load: Load, end: Promise<void>): Promise<Part> {
  let isOver = false;
  const asked: Promise<number | null>[] = [];
  const ended = end.finally(() => (isOver = true));
  for (let dueAt = performance.now(); !isOver; dueAt += 1_000 / load.perSecond) {
    const waitMs = dueAt - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    asked.push(ask(load, dueAt));
  }
  await ended;
  const times = await Promise.all(asked);
  const good = times.filter((time) => time !== null).sort((a, b) => a - b);
  return { times: good, failed: times.length - good.length };
}

const seconds = (s: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, s * 1_000));
const at = (times: readonly number[], share: number): number => times[Math.ceil(times.length * share) - 1] ?? NaN;
const slower = (times: readonly number[], limitMs: number): number => times.filter((time) => time > limitMs).length;

async function measure(name: string, load: Load, url: string) {
  const client = createClient({ gateway: url });
  await during(load, seconds(3));
  const before = await during(load, seconds(QUIET_S));
  const swaps = await during(
    load,
    (async () => {
      for (let swap = 0; swap < SWAPS; swap += 1) {
        const version = swap % 2 === 0 ? '1' : '2';
        await client.deployModel(name, version);
        await until(`${name}@${version} alone`, 120_000, async () => {
          const { workers } = await client.deployedModel(name);
          const states = workers.flatMap(({ versions }) => versions.map((one) => [one.version, one.state, one.serves]));
          const isDone = states.every(([is, state, serves]) => (is === version ? serves : state === 'stored'));
          return isDone ? true : null;
        });
      }
    })(),
  );
  const after = await during(load, seconds(QUIET_S));
  const p99Ms = at(before.times, 0.99);
  const about = (part: Part): object => ({
    requests: part.times.length + part.failed,
    failed: part.failed,
    p50Ms: at(part.times, 0.5),
    p99Ms: at(part.times, 0.99),
    maxMs: part.times.at(-1),
    slow: slower(part.times, 2 * p99Ms),
  });
  return {
    perSecond: load.perSecond,
    swaps: SWAPS,
    slowIsAboveMs: 2 * p99Ms,
    before: about(before),
    during: about(swaps),
    after: about(after),
    failed: before.failed + swaps.failed + after.failed,
    p50Ms: at(before.times, 0.5),
    slow: slower(swaps.times, 2 * p99Ms),
  };
}

const folder = await makeVersionFolder();
const plants = new URL('../models/plants/1', import.meta.url).pathname;
for (const version of ['1', '2']) {
  await folder.python('who', version);
  const to = join(folder.path, 'plants', version);
  mkdirSync(to, { recursive: true });
  cpSync(plants, to, { recursive: true });
  const manifest = readFileSync(join(plants, 'postern.yaml'), 'utf8').replace(/^version:.*$/m, `version: "${version}"`);
  writeFileSync(join(to, 'postern.yaml'), manifest);
}
const python = process.env.POSTERN_PYTHON ?? new URL('../.cache/python/bin/python', import.meta.url).pathname;
const system = new PosternSystem({
  modelsDir: folder.path,
  env: { POSTERN_PYTHON: python, POSTERN_MODEL_SOAK_MS: '500', POSTERN_LOG_LEVEL: 'warn' },
});
try {
  const gateway = await system.gateway();
  system.worker(gateway, system.issue('gpu-1'));
  for (const name of ['plants', 'who']) await untilModel(gateway.url, name, 60_000);
  const noise = { type: 'gaussian' as const, mean: 128, sigma: 40 };
  const photo = await sharp({ create: { width: 640, height: 480, channels: 3, background: '#888888', noise } })
    .jpeg()
    .toBuffer();
  const path = (name: string): string => `${gateway.url}/v1/models/local/${name}/predictions`;
  const onnx = await measure(
    'plants',
    { url: path('plants'), contentType: 'image/jpeg', body: photo, perSecond: 3 },
    gateway.url,
  );
  const inPython = await measure(
    'who',
    { url: path('who'), contentType: 'application/json', body: Buffer.from('{"input":{}}'), perSecond: 10 },
    gateway.url,
  );
  record(
    'swap',
    [
      atMost('ONNX (plants): p50 before, the pace is kept', onnx.p50Ms, 'ms', PACE_MS),
      atMost('ONNX (plants): requests that failed', onnx.failed, '', 0),
      atMost('ONNX (plants): slow requests during swaps', onnx.slow, '', 0),
      atMost('Python: p50 before, the pace is kept', inPython.p50Ms, 'ms', PACE_MS),
      atMost('Python: requests that failed', inPython.failed, '', 0),
      atMost('Python: slow requests during swaps', inPython.slow, '', 0),
    ],
    { onnx, python: inPython, loadAverage: loadavg()[0] },
  );
} finally {
  agent.destroy();
  await system.remove();
  await folder.remove();
}
