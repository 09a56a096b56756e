/**
 * What does a request cost? A no-op model, 1 KiB in and out, 64 keep-alive callers; beside it, in the same run and in turn,
 * the skeleton: the least that could carry the same bytes along the same path.
 *
 *   npm run bench:gateway -- [seconds per round, default 5] [rounds, default 3]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PosternSystem, untilModel } from '../test/support/postern.ts';
import { load, type LoadResult } from './support/load.ts';
import { cpuSeconds, memoryBytes } from './support/process.ts';
import { atLeast, atMost, median, record } from './support/record.ts';
import { startSkeleton } from './support/skeleton.ts';

const seconds = Number(process.argv[2] ?? 5);
const rounds = Number(process.argv[3] ?? 3);
const body = Buffer.alloc(1_024, 'postern ');

interface Round extends LoadResult {
  readonly gatewayUs: number;
  readonly workerUs: number;
}

async function round(url: string, gatewayPid: number, workerPid: number): Promise<Round> {
  const request = {
    url,
    connections: 64,
    body,
    headers: { 'Content-Type': 'application/octet-stream', Prefer: 'wait' },
  };
  const before = [cpuSeconds(gatewayPid), cpuSeconds(workerPid)] as const;
  const result = await load({ ...request, seconds });
  const used = (pid: number, since: number): number => ((cpuSeconds(pid) - since) / result.requests) * 1e6;
  return { ...result, gatewayUs: used(gatewayPid, before[0]), workerUs: used(workerPid, before[1]) };
}

const folder = mkdtempSync(join(tmpdir(), 'postern-skeleton-'));
const system = new PosternSystem({ env: { POSTERN_LOG_LEVEL: 'warn' } });
const skeletons: Round[] = [];
const posterns: Round[] = [];
try {
  const gateway = await system.gateway();
  const worker = system.worker(gateway, system.issue('bench'));
  await untilModel(gateway.url, 'echo');
  const skeleton = await startSkeleton(folder);
  try {
    const url = `${gateway.url}/v1/models/local/echo/predictions`;
    const posternRound = (): Promise<Round> => round(url, gateway.pid, worker.pid);
    const skeletonRound = (): Promise<Round> => round(skeleton.url, skeleton.gateway.pid, skeleton.worker.pid);
    console.log('warming up …');
    await posternRound();
    await skeletonRound();
    for (let n = 1; n <= rounds; n += 1) {
      posterns.push(await posternRound());
      skeletons.push(await skeletonRound());
      const [p, s] = [posterns.at(-1), skeletons.at(-1)];
      console.log(
        `round ${n}/${rounds}: Postern ${p?.requestsPerSecond.toFixed(0)}/s (gateway ${p?.gatewayUs.toFixed(1)} µs, worker ${p?.workerUs.toFixed(1)} µs), skeleton ${s?.requestsPerSecond.toFixed(0)}/s (${s?.gatewayUs.toFixed(1)} µs, ${s?.workerUs.toFixed(1)} µs)`,
      );
    }
    const of = (runs: readonly Round[], pick: (run: Round) => number): number => median(runs.map(pick));
    const ratio = median(posterns.map((run, n) => run.requestsPerSecond / (skeletons[n]?.requestsPerSecond ?? NaN)));
    record(
      'gateway',
      [
        atMost(
          'gateway, CPU per request',
          of(posterns, (r) => r.gatewayUs),
          'µs',
          60,
        ),
        atMost(
          'worker, CPU per request',
          of(posterns, (r) => r.workerUs),
          'µs',
          20,
        ),
        atLeast("share of the skeleton's requests/s", ratio, '×', 0.6),
      ],
      {
        callers: 64,
        bodyBytes: body.length,
        secondsPerRound: seconds,
        posterns,
        skeletons,
        gatewayMemory: memoryBytes(gateway.pid),
      },
    );
  } finally {
    await skeleton.stop();
  }
} finally {
  await system.remove();
  rmSync(folder, { recursive: true, force: true });
}
