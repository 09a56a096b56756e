/**
 * How long from `npm start` to ready (gateway up, worker joined through mutual TLS, every model loaded and warmed up by a
 * real inference)? Whole processes, npm included, on a fresh data folder each time.
 *
 *   npm run bench:start -- [runs, default 5]
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../test/support/postern.ts';
import { atMost, median, record, storeUsed } from './support/record.ts';

const runs = Number(process.argv[2] ?? 5);
const root = new URL('..', import.meta.url).pathname;

async function startOnce(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-start-'));
  const readyFile = join(folder, 'ready.json');
  const began = performance.now();
  const child = spawn('npm', ['start', '--silent', '--', '--ready-file', readyFile], {
    cwd: root,
    env: { ...process.env, POSTERN_DATA_DIR: join(folder, 'data'), POSTERN_HTTP_PORT: '0', POSTERN_TUNNEL_PORT: '0' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  try {
    await until('the ready file', 60_000, () => Promise.resolve(existsSync(readyFile) ? true : null));
    const tookMs = performance.now() - began;
    const { pid, models } = JSON.parse(readFileSync(readyFile, 'utf8')) as {
      pid: number;
      models: { name: string; state: string }[];
    };
    const notReady = models.filter(({ state }) => state !== 'ready').map(({ name }) => name);
    if (models.length === 0 || notReady.length > 0)
      throw new Error(`not every model was ready: ${notReady.join(', ') || 'none at all'}`);
    process.kill(pid, 'SIGTERM');
    return tookMs;
  } finally {
    await ended;
    rmSync(folder, { recursive: true, force: true });
  }
}

const times: number[] = [];
for (let n = 1; n <= runs; n += 1) {
  const tookMs = await startOnce();
  times.push(tookMs);
  console.log(`run ${n}/${runs}: ready after ${(tookMs / 1_000).toFixed(2)} s`);
}
record('start', [atMost('npm start until ready', median(times) / 1_000, 's', 5)], { store: storeUsed(), runs: times });
