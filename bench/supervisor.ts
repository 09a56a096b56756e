/**
 * What does the supervisor cost those whom it serves? The same gateway with the same worker, started alone and as a release under a
 * supervisor, in turn: a no-op model, 1 KiB in and out, 64 keep-alive callers. A second one alone is the control: what it differs
 * by from the first is the machine's doing. About 75 s.
 *
 *   npm run bench:supervisor      (needs wrk)
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Site } from '../test/deploy/site.ts';
import { PosternSystem, untilModel } from '../test/support/postern.ts';
import { load, type LoadResult } from './support/load.ts';
import { cpuSeconds, waitedSeconds } from './support/process.ts';
import { atLeast, median, record, storeUsed } from './support/record.ts';

/** Many and short: what else the machine does then meets every side. */
const ROUNDS = 15;
const SECONDS = 1;
const CONNECTIONS = 64;
const SIDES = ['alone', 'supervised', 'control'] as const;
const body = Buffer.alloc(1_024, 'postern ');

type SideName = (typeof SIDES)[number];

interface Side {
  readonly url: string;
  readonly gatewayPid: number;
}

/** Of the gateway's threads, for each request. */
interface Round extends LoadResult {
  readonly cpuUs: number;
  readonly waitedForACoreUs: number;
}

async function round({ url, gatewayPid }: Side): Promise<Round> {
  const [cpu, waited] = [cpuSeconds(gatewayPid), waitedSeconds(gatewayPid)];
  const result = await load({
    url: `${url}/v1/models/local/echo/predictions`,
    connections: CONNECTIONS,
    seconds: SECONDS,
    body,
    headers: { 'Content-Type': 'application/octet-stream', Prefer: 'wait' },
  });
  const each = (seconds: number): number => (seconds / result.requests) * 1e6;
  return {
    ...result,
    cpuUs: each(cpuSeconds(gatewayPid) - cpu),
    waitedForACoreUs: each(waitedSeconds(gatewayPid) - waited),
  };
}

const models = mkdtempSync(join(tmpdir(), 'postern-bench-supervisor-'));
cpSync(new URL('../models/echo', import.meta.url).pathname, join(models, 'echo'), { recursive: true });
const env = {
  POSTERN_LOG_LEVEL: 'warn',
  POSTERN_MODELS_DIR: models,
  POSTERN_GUIDES_DIR: join(models, 'no-guides'),
  POSTERN_DRAIN_MS: '5000',
};
const systems = {
  alone: new PosternSystem({ env, modelsDir: models }),
  control: new PosternSystem({ env, modelsDir: models }),
};
const site = await Site.make({ env });

async function startAlone(system: PosternSystem): Promise<Side> {
  const gateway = await system.gateway();
  system.worker(gateway, system.issue('bench'));
  await untilModel(gateway.url, 'echo');
  return { url: gateway.url, gatewayPid: gateway.pid };
}

async function startSupervised(): Promise<Side> {
  const id = site.release('a');
  await site.supervise();
  await site.ask('switch', id);
  await site.worker('bench', models);
  await untilModel(site.url, 'echo');
  const { instances, active } = await site.status();
  const serving = instances.find(({ instance }) => instance === active);
  if (serving === undefined) throw new Error('no instance serves under the supervisor');
  return { url: site.url, gatewayPid: serving.pid };
}

try {
  console.log('starting …');
  const sides: Record<SideName, Side> = {
    alone: await startAlone(systems.alone),
    supervised: await startSupervised(),
    control: await startAlone(systems.control),
  };
  const runs: Record<SideName, Round[]> = { alone: [], supervised: [], control: [] };
  console.log('warming up …');
  for (const name of [...SIDES, ...SIDES]) await round(sides[name]);
  for (let n = 0; n < ROUNDS; n += 1) {
    const told: string[] = [];
    // Each side is first, second and third equally often.
    for (let place = 0; place < SIDES.length; place += 1) {
      const name = SIDES[(n + place) % SIDES.length]!;
      const run = await round(sides[name]);
      runs[name].push(run);
      told.push(`${name} ${run.requestsPerSecond.toFixed(0)}/s (${run.cpuUs.toFixed(0)} µs)`);
    }
    console.log(`round ${n + 1}/${ROUNDS}: ${told.join(', ')}`);
  }
  const shares = (name: SideName): number[] =>
    runs[name].map((run, n) => (100 * run.requestsPerSecond) / runs.alone[n]!.requestsPerSecond);
  const ofEach = (pick: (name: SideName) => number): Record<string, number> =>
    Object.fromEntries(SIDES.map((name) => [name, pick(name)]));
  record(
    'supervisor',
    [atLeast('throughput under the supervisor, of that alone', median(shares('supervised')), '%', 97)],
    {
      store: storeUsed(),
      callers: CONNECTIONS,
      bodyBytes: body.length,
      secondsPerRound: SECONDS,
      loadAverage: loadavg()[0],
      medianSharePercent: ofEach((name) => median(shares(name))),
      requests: ofEach((name) => runs[name].reduce((sum, run) => sum + run.requests, 0)),
      cpuUs: ofEach((name) => median(runs[name].map((run) => run.cpuUs))),
      waitedForACoreUs: ofEach((name) => median(runs[name].map((run) => run.waitedForACoreUs))),
      rounds: runs,
    },
  );
} finally {
  await Promise.all([site.remove(), systems.alone.remove(), systems.control.remove()]);
  rmSync(models, { recursive: true, force: true });
}
