/**
 * What does `/services` cost beside the local server itself? The same requests, directly and through gateway, tunnel and
 * worker, in turn, on the same cores. Every process here shares them: what the chain computes, the server cannot.
 *
 *   npm run bench:services      (needs wrk)
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request, type IncomingMessage } from 'node:http';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { PosternSystem, untilModel } from '../test/support/postern.ts';
import { load } from './support/load.ts';
import { cpuSeconds, start } from './support/process.ts';
import { atLeast, atMost, median, record } from './support/record.ts';

const ROUNDS = 3;
const CALLS = 150;
const LOAD_S = 3;
const CONNECTIONS = 16;
const body = Buffer.alloc(1_024, 'x');
const agent = new Agent({ keepAlive: true });

interface Times {
  /** Until the first byte of the body. */
  readonly firstMs: number;
  readonly wholeMs: number;
}

function ask(url: string): Promise<Times> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const sent = request(url, { method: 'POST', agent, headers }, (response: IncomingMessage) => {
      let firstMs = 0;
      response.on('data', () => (firstMs ||= performance.now() - began));
      response.on('end', () => {
        if (response.statusCode === 200) resolve({ firstMs, wholeMs: performance.now() - began });
        else reject(new Error(`${url}: ${response.statusCode}`));
      });
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

async function one(url: string, of: keyof Times): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < CALLS; n += 1) times.push((await ask(url))[of]);
  return median(times);
}

/** Load by wrk, so that the caller's own work takes little of the cores, and what each process spent on a request. */
async function perSecond(url: string): Promise<{ perSecond: number; cpuUs: number[] }> {
  const before = processes.map(({ pid }) => cpuSeconds(pid));
  const headers = { 'Content-Type': 'application/json' };
  const { requests, requestsPerSecond } = await load({ url, connections: CONNECTIONS, seconds: LOAD_S, body, headers });
  const cpuUs = processes.map(({ pid }, index) => ((cpuSeconds(pid) - before[index]!) * 1e6) / requests);
  return { perSecond: requestsPerSecond, cpuUs };
}

const folder = mkdtempSync(join(tmpdir(), 'postern-bench-services-'));
const program = new URL('support/service-server.ts', import.meta.url).pathname;
const server = await start(process.execPath, [program]);
const at = join(folder, 'bench', '1');
mkdirSync(at, { recursive: true });
const direct = `http://127.0.0.1:${Number(server.ready.port)}`;
writeFileSync(
  join(at, 'postern.yaml'),
  `{postern: 1, name: bench, version: "1", kind: service, runner: http, url: "${direct}", allow: [{methods: [POST, GET], path: "/**"}]}`,
);
const system = new PosternSystem({ modelsDir: folder });
let processes: { readonly pid: number }[] = [];
try {
  const gateway = await system.gateway();
  const worker = system.worker(gateway, system.issue('gpu-1'));
  processes = [gateway, worker, server];
  await untilModel(gateway.url, 'bench');
  const through = `${gateway.url}/services/bench`;
  for (const base of [direct, through]) await perSecond(`${base}/small`);

  const added: number[] = [];
  const addedFirst: number[] = [];
  const smallShare: number[] = [];
  const modelShare: number[] = [];
  const figures: object[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const [d, t] = [await one(`${direct}/small`, 'wholeMs'), await one(`${through}/small`, 'wholeMs')];
    const [ds, ts] = [await one(`${direct}/stream`, 'firstMs'), await one(`${through}/stream`, 'firstMs')];
    const [dr, tr] = [await perSecond(`${direct}/small`), await perSecond(`${through}/small`)];
    const [dm, tm] = [await perSecond(`${direct}/model`), await perSecond(`${through}/model`)];
    added.push(t - d);
    addedFirst.push(ts - ds);
    smallShare.push((100 * tr.perSecond) / dr.perSecond);
    modelShare.push((100 * tm.perSecond) / dm.perSecond);
    figures.push({ p50Ms: [d, t], firstTokenMs: [ds, ts], small: [dr, tr], model: [dm, tm] });
  }
  record(
    'services',
    [
      atMost('p50 added to 1 KiB', median(added), 'ms', 0.5),
      atMost('first token of a stream later by', median(addedFirst), 'ms', 1),
      atLeast('throughput of a model of 2 ms, of the direct', median(modelShare), '%', 70),
      atLeast('throughput of an empty handler, of the direct', median(smallShare), '%', 70),
    ],
    {
      cpuOf: ['gateway', 'worker', 'server'],
      directAndThrough: figures,
      connections: CONNECTIONS,
      loadAverage: loadavg()[0],
    },
  );
} finally {
  agent.destroy();
  await system.remove();
  await server.stop();
  rmSync(folder, { recursive: true });
}
