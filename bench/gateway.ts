/**
 * What does a request cost? A no-op model, 1 KiB in and out, 64 keep-alive callers; beside it, in the same run and in turn,
 * the skeleton: the least that could carry the same bytes along the same path, once with node:http and once with Fastify.
 *
 *   npm run bench:gateway -- [seconds per round, default 5] [rounds, default 3]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PosternSystem, untilModel } from '../test/support/postern.ts';
import { load, type LoadResult } from './support/load.ts';
import { cpuSeconds, memoryBytes } from './support/process.ts';
import { atLeast, atMost, median, record, storeUsed } from './support/record.ts';
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
const skeletons: Record<'node' | 'fastify', Round[]> = { node: [], fastify: [] };
const posterns: Round[] = [];
try {
  const gateway = await system.gateway();
  const worker = system.worker(gateway, system.issue('bench'));
  await untilModel(gateway.url, 'echo');
  const fronts = {
    node: await startSkeleton(join(folder, 'node'), 'node'),
    fastify: await startSkeleton(join(folder, 'fastify'), 'fastify'),
  };
  try {
    const url = `${gateway.url}/v1/models/local/echo/predictions`;
    const posternRound = (): Promise<Round> => round(url, gateway.pid, worker.pid);
    const skeletonRound = (front: 'node' | 'fastify'): Promise<Round> =>
      round(fronts[front].url, fronts[front].gateway.pid, fronts[front].worker.pid);
    const told = (run: Round): string =>
      `${run.requestsPerSecond.toFixed(0)}/s (gateway ${run.gatewayUs.toFixed(1)} µs, worker ${run.workerUs.toFixed(1)} µs)`;
    console.log('warming up …');
    await posternRound();
    for (const front of ['node', 'fastify'] as const) await skeletonRound(front);
    for (let n = 1; n <= rounds; n += 1) {
      const postern = await posternRound();
      posterns.push(postern);
      console.log(`round ${n}/${rounds}: Postern ${told(postern)}`);
      for (const front of ['node', 'fastify'] as const) {
        const skeleton = await skeletonRound(front);
        skeletons[front].push(skeleton);
        console.log(`  skeleton on ${front} ${told(skeleton)}`);
      }
    }
    const of = (runs: readonly Round[], pick: (run: Round) => number): number => median(runs.map(pick));
    const ratioTo = (runs: readonly Round[]): number =>
      median(posterns.map((run, n) => run.requestsPerSecond / (runs[n]?.requestsPerSecond ?? NaN)));
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
        atLeast('share of the requests/s of a skeleton on node:http', ratioTo(skeletons.node), '×', 0.6),
        atLeast('share of the requests/s of a skeleton on Fastify', ratioTo(skeletons.fastify), '×', 0.6),
      ],
      {
        store: storeUsed(),
        callers: 64,
        bodyBytes: body.length,
        secondsPerRound: seconds,
        posterns,
        skeletons,
        gatewayMemory: memoryBytes(gateway.pid),
      },
    );
  } finally {
    for (const skeleton of Object.values(fronts)) await skeleton.stop();
  }
} finally {
  await system.remove();
  rmSync(folder, { recursive: true, force: true });
}
