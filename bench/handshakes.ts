/**
 * What does a handshake cost the gateway, and what does a flood of bad ones do to the worker that is in? A gateway and a good
 * worker with a caller that keeps one request going; first alone, then while a process of its own begins bad handshakes as
 * fast as one core can, from many addresses, of every kind that the doorway has to refuse.
 *
 *   npm run bench:handshakes -- [seconds of flood, default 20]
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PosternSystem, untilModel } from '../test/support/postern.ts';
import { cpuSeconds, memoryBytes, start } from './support/process.ts';
import { atMost, median, record, storeUsed } from './support/record.ts';

const seconds = Number(process.argv[2] ?? 20);
/** Alone and under the flood in turn, so that what else the machine does falls on both. */
const ROUNDS = 3;
const REST_MS = 15_000;
const PREDICT = '/v1/models/local/echo/predictions';
const system = new PosternSystem({ env: { POSTERN_LOG_LEVEL: 'error' } });

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Latency {
  readonly requests: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** One request after the other through the good worker. */
async function measure(url: string, forSeconds: number): Promise<Latency> {
  const took: number[] = [];
  let failed = 0;
  const until = performance.now() + forSeconds * 1_000;
  while (performance.now() < until) {
    const began = performance.now();
    const response = await fetch(url + PREDICT, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'wait' },
      body: '{"input":"x"}',
    });
    await response.arrayBuffer();
    if (response.status !== 201) failed += 1;
    took.push(performance.now() - began);
    // A caller that asks a hundred times a second, and leaves the core to others in between.
    await pause(10);
  }
  took.sort((a, b) => a - b);
  const at = (share: number): number => took[Math.floor(took.length * share)] ?? Number.NaN;
  return { requests: took.length, failed, p50Ms: at(0.5), p99Ms: at(0.99) };
}

async function sessionOf(url: string): Promise<string | null> {
  const { results } = (await (await fetch(`${url}/v1/workers`)).json()) as {
    results: { name: string; session: string; state: string }[];
  };
  return results.find(({ name, state }) => name === 'gpu-1' && state === 'connected')?.session ?? null;
}

interface Flood {
  readonly begun: number;
  readonly completed: number;
  readonly cpuS: number;
}

/** A process that begins handshakes; what comes back ends it and says how many there were. */
async function flood(kind: 'whole' | 'bad', port: number): Promise<() => Promise<Flood>> {
  const program = fileURLToPath(new URL('peers/handshake-flood.ts', import.meta.url));
  const peer = await start(process.execPath, [program, kind, String(port), join(system.folder, 'gpu-1')]);
  const counted = new Promise<Omit<Flood, 'cpuS'>>((resolve) => {
    let text = '';
    peer.child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const line = text.split('\n').find((one) => one.includes('"begun"') && one.endsWith('}'));
      if (line !== undefined) resolve(JSON.parse(line) as Omit<Flood, 'cpuS'>);
    });
  });
  return async () => {
    const cpuS = cpuSeconds(peer.pid);
    await peer.stop();
    return { ...(await counted), cpuS };
  };
}

try {
  const gateway = await system.gateway();
  system.worker(gateway, system.join(gateway, 'gpu-1'));
  await untilModel(gateway.url, 'echo');
  // What the process needs for anything at all is not the flood's cost.
  await measure(gateway.url, 5);
  const session = await sessionOf(gateway.url);

  const wholeCpu = cpuSeconds(gateway.pid);
  const wholeBegan = performance.now();
  const stopWhole = await flood('whole', gateway.tunnelPort);
  await pause(seconds * 500);
  const whole = await stopWhole();
  const wholeS = (performance.now() - wholeBegan) / 1_000;
  const msPerHandshake = ((cpuSeconds(gateway.pid) - wholeCpu) * 1_000) / whole.completed;
  await pause(REST_MS);

  const before = memoryBytes(gateway.pid);
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const alone = await measure(gateway.url, seconds / 2);
    const cpu = cpuSeconds(gateway.pid);
    const stopFlood = await flood('bad', gateway.tunnelPort);
    const flooded = await measure(gateway.url, seconds);
    const peak = memoryBytes(gateway.pid);
    const bad = await stopFlood();
    const gatewayCpuS = cpuSeconds(gateway.pid) - cpu;
    // The last of them may keep their places until their deadline.
    await pause(REST_MS);
    const after = memoryBytes(gateway.pid);
    rounds.push({ alone, flooded, bad, gatewayCpuS, peak, after, ratio: flooded.p99Ms / alone.p99Ms });
    console.log(
      `round ${round + 1}: ${bad.begun} bad handshakes, p99 ${alone.p99Ms.toFixed(1)} -> ${flooded.p99Ms.toFixed(1)} ms`,
    );
  }
  const begun = rounds.reduce((sum, { bad }) => sum + bad.begun, 0);
  const failed = rounds.reduce((sum, { alone, flooded }) => sum + alone.failed + flooded.failed, 0);
  // A second flood may not cost what the first one left: heaps grow once to what they need, and no leak stops there.
  const grown = ((rounds.at(-1)?.after.rss ?? 0) - (rounds[0]?.after.rss ?? 0)) / 2 ** 20;
  const stays = (await sessionOf(gateway.url)) === session && session !== null;
  record(
    'handshakes',
    [
      atMost('gateway CPU per whole handshake', msPerHandshake, 'ms', 2),
      atMost('p99 under the flood, to alone', median(rounds.map(({ ratio }) => ratio)), '×', 3),
      atMost('sessions lost by the good worker', stays ? 0 : 1, '', 0),
      atMost('requests failed', failed, '', 0),
      atMost('memory not given back between the first and the last flood', grown, 'MiB', 16),
    ],
    {
      store: storeUsed(),
      seconds,
      begun,
      whole: { ...whole, perSecond: whole.completed / wholeS, msPerHandshake },
      before,
      rounds,
    },
  );
} finally {
  await system.remove();
}
