/**
 * What does a call into a model in Python cost beside the model itself? The real runner and the real package; the model gives
 * back the array that it was given, so all of it is overhead: frames, two copies through the socket each way, Python.
 *
 *   npm run bench:python        (Python with numpy: POSTERN_PYTHON, else .cache/python, else python3)
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../src/clock.ts';
import { silentLogger } from '../src/logger.ts';
import { createPythonRunner } from '../src/runners/python/python.ts';
import type { RunCall, Runner, Tensor } from '../src/worker/runner.ts';
import { atLeast, atMost, median, record } from './support/record.ts';

const SIZES = [1_024, 65_536, 1_048_576, 10_485_760, 62_914_560];
const ROUNDS = 5;
const BYTES_PER_ROUND = 400_000_000;
const MAX_CALLS = 4_000;

const environment = new URL('../.cache/python', import.meta.url).pathname;
const interpreter = process.env.POSTERN_PYTHON ?? (existsSync(environment) ? environment : 'python3');
const folder = mkdtempSync(join(tmpdir(), 'postern-bench-python-'));
writeFileSync(join(folder, 'model.py'), 'def predict(batch):\n    return {"y": batch["x"]}\n');

const { signal } = new AbortController();
const call: RunCall = {
  items: 1,
  signal,
  signalOf: () => signal,
  events: { partial: () => undefined, progress: () => undefined },
};

async function microsecondsPerCall(runner: Runner, bytes: number): Promise<number> {
  const x: Tensor = { type: 'uint8', dims: [1, bytes], data: new Uint8Array(bytes).fill(1) };
  const calls = Math.max(5, Math.min(MAX_CALLS, Math.floor(BYTES_PER_ROUND / bytes)));
  const began = performance.now();
  for (let n = 0; n < calls; n += 1) await runner.run({ x }, call);
  return ((performance.now() - began) * 1_000) / calls;
}

/** One copy in this process, at the same moment: what the machine's memory gives while others use it. */
function copyGigabytesPerSecond(): number {
  const [from, to] = [Buffer.alloc(62_914_560, 1), Buffer.alloc(62_914_560)];
  const began = performance.now();
  for (let n = 0; n < 10; n += 1) from.copy(to);
  return (10 * from.length) / (performance.now() - began) / 1e6;
}

const runner = createPythonRunner({
  interpreter,
  environment: { PATH: process.env.PATH ?? '' },
  entry: null,
  form: 'tensors',
  inputs: [],
  outputs: [],
  setupTimeoutMs: 60_000,
  predictTimeoutMs: 60_000,
  memoryLimitMb: 0,
  maxOutputBytes: 64 * 1024 * 1024,
  clock: systemClock,
  logger: silentLogger,
})({ folder, file: 'model.py', providers: ['cpu'], threads: 0, onExit: () => undefined });

try {
  await runner.load();
  const copies: number[] = [];
  const rounds = new Map<number, number[]>(SIZES.map((bytes) => [bytes, []]));
  for (const bytes of SIZES) await microsecondsPerCall(runner, bytes);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const bytes of SIZES) rounds.get(bytes)!.push(await microsecondsPerCall(runner, bytes));
    copies.push(copyGigabytesPerSecond());
  }
  const table = SIZES.map((bytes) => {
    const microseconds = median(rounds.get(bytes)!);
    // There and back.
    return { bytes, microseconds, gigabytesPerSecond: (2 * bytes) / microseconds / 1_000, rounds: rounds.get(bytes) };
  });
  for (const { bytes, microseconds, gigabytesPerSecond } of table) {
    console.log(`${bytes} bytes: ${microseconds.toFixed(0)} µs, ${gigabytesPerSecond.toFixed(2)} GB/s`);
  }
  const large = table.filter(({ bytes }) => bytes >= 1_048_576);
  record(
    'python',
    [
      atMost('python, overhead per call at 1 KiB', table[0]!.microseconds, 'µs', 150),
      ...large.map(({ bytes, gigabytesPerSecond }) =>
        atLeast(`python, tensors of ${bytes / 1_048_576} MiB there and back`, gigabytesPerSecond, 'GB/s', 1.5),
      ),
    ],
    { loadAverage: loadavg()[0], copyGigabytesPerSecond: median(copies), table },
  );
} finally {
  await runner.unload();
  rmSync(folder, { recursive: true, force: true });
}
