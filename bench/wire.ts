/**
 * What does the wire carry, alone? Echoes over mutual TLS on loopback between two processes, 64 in flight, in turn: frames
 * of postern/1, WebSocket (`ws`), and HTTP/2 (`node:http2`). Messages per second at 1 KiB, MB/s (one way) at 100 KB.
 *
 * `frames` sends real job messages, checked against their schemas: a `result` with a 1 KiB payload, answered by an `assign`
 * with the same. `ws` and `http2` carry the bare payload and no message; so the ratio is what jobs get, not the framing's.
 * `probes` is the same connection with the smallest message around the payload.
 *
 *   npm run bench:wire -- [seconds for each figure, default 0.5] [rounds, default 9]
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';
import { systemClock } from '../src/clock.ts';
import { openIdentity } from '../src/identity/identity.ts';
import { openConnection } from '../src/protocol/connection.ts';
import { checkWelcome, makeHello } from '../src/protocol/hello.ts';
import { CONNECTION_WINDOW_BYTES, DEFAULT_LIMITS, STREAM_WINDOW_BYTES } from '../src/protocol/limits.ts';
import { cpuSeconds, start } from './support/process.ts';
import { atLeast, median, record } from './support/record.ts';

const IN_FLIGHT = 64;
const seconds = Number(process.argv[2] ?? 0.5);
const rounds = Number(process.argv[3] ?? 9);

/** Sends one payload; `done` is called when its echo is complete. */
interface Echo {
  send(payload: Buffer, done: (bytes: number) => void): void;
  close(): void;
}

interface Files {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

/** Made beforehand: making ids is the engine's cost, not the wire's. */
const JOBS = Array.from({ length: 1_024 }, () => randomUUID());
const timings = { queueMs: 0.104, decodeMs: 1.25, batchMs: 0, computeMs: 4.5021 };

function openFrames(port: number, files: Files, message: 'result' | 'probe'): Promise<Echo> {
  const queue: ((bytes: number) => void)[] = [];
  const socket = connectTls({
    ...files,
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    ALPNProtocols: ['postern/1'],
  });
  socket.setNoDelay(true);
  return new Promise((resolve, reject) => {
    const connection = openConnection(socket, {
      clock: systemClock,
      limits: DEFAULT_LIMITS,
      handlers: {
        onMessage(answer, payload) {
          // Payloads in streams may overtake each other; whose end is called does not matter to the count.
          if (answer.type === 'assign' || answer.type === 'probe_report') {
            queue.shift()!(payload.length);
          } else {
            connection.establish(checkWelcome(answer).limits, { pingMs: 5_000, deadMs: 15_000 });
            resolve({ send, close: () => connection.close('draining', 'done') });
          }
        },
        onClose: (error) => error !== null && reject(error),
      },
    });
    let next = 0;
    const contentType = 'application/octet-stream';
    const send: Echo['send'] = (payload, end) => {
      queue.push(end);
      const bytes = payload.length;
      if (message === 'probe') connection.send({ type: 'probe', bytes }, payload);
      else
        connection.send(
          { type: 'result', job: JOBS[next++ % JOBS.length]!, attempt: 1, contentType, bytes, timings },
          payload,
        );
    };
    connection.send(makeHello({ role: 'probe', session: 'bench', epoch: 1, agent: 'bench' }));
  });
}

function openWs(port: number, files: Files): Promise<Echo> {
  const socket = new WebSocket(`wss://127.0.0.1:${port}`, [], { ...files, perMessageDeflate: false });
  const queue: ((bytes: number) => void)[] = [];
  socket.on('message', (data) => queue.shift()!((data as Buffer).length));
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('open', () =>
      resolve({
        send(payload, end) {
          queue.push(end);
          socket.send(payload);
        },
        close: () => socket.close(),
      }),
    );
  });
}

function openHttp2(port: number, files: Files): Promise<Echo> {
  const settings = { initialWindowSize: STREAM_WINDOW_BYTES };
  const session: ClientHttp2Session = connectHttp2(`https://127.0.0.1:${port}`, {
    ...files,
    servername: 'localhost',
    settings,
  });
  return new Promise((resolve, reject) => {
    session.on('error', reject);
    session.on('connect', () => {
      session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
      resolve({
        send(payload, end) {
          const stream = session.request({ ':method': 'POST', ':path': '/' });
          let bytes = 0;
          stream.on('data', (part: Buffer) => (bytes += part.length));
          stream.on('end', () => end(bytes));
          stream.end(payload);
        },
        close: () => session.close(),
      });
    });
  });
}

/** Keeps 64 echoes in flight for the given time. */
function run(echo: Echo, bytes: number, forSeconds: number): Promise<{ perSecond: number; count: number }> {
  const payload = Buffer.alloc(bytes, 'postern ');
  return new Promise((resolve, reject) => {
    let inFlight = 0;
    let count = 0;
    const began = performance.now();
    const ends = began + forSeconds * 1_000;
    const done = (got: number): void => {
      if (got !== bytes) reject(new Error(`expected ${bytes} bytes back, got ${got}`));
      inFlight--;
      count++;
      if (performance.now() < ends) send();
      else if (inFlight === 0) resolve({ perSecond: count / ((performance.now() - began) / 1_000), count });
    };
    const send = (): void => {
      inFlight++;
      echo.send(payload, done);
    };
    while (inFlight < IN_FLIGHT) send();
  });
}

const folder = mkdtempSync(join(tmpdir(), 'postern-wire-'));
const identity = await openIdentity({ folder, hosts: ['localhost'], clock: systemClock });
const worker = await identity.issueWorker('bench', 3_600_000);
const files: Files = { key: worker.keyPem, cert: worker.certPem, ca: identity.caPem };
const pems = {
  'ca.pem': identity.caPem,
  'gateway.key': identity.gateway.keyPem,
  'gateway.pem': identity.gateway.certPem,
};
for (const [name, text] of Object.entries(pems)) writeFileSync(join(folder, name), text, { mode: 0o600 });
const peer = await start(process.execPath, [new URL('peers/wire-echo.ts', import.meta.url).pathname, folder]);
const port = (name: string): number => Number(peer.ready[name]);

const transports = {
  frames: () => openFrames(port('frames'), files, 'result'),
  probes: () => openFrames(port('frames'), files, 'probe'),
  ws: () => openWs(port('ws'), files),
  http2: () => openHttp2(port('http2'), files),
} as const;
type Transport = keyof typeof transports;
const names = Object.keys(transports) as Transport[];
/** For a look at one thing alone (nothing is recorded): transports, sizes. */
const only = process.argv[4]?.split(',') ?? names;
const onlySizes = process.argv[5]?.split(',');
const SIZES = { '1 KiB': 1_024, '100 KB': 100_000 } as const;
type Size = keyof typeof SIZES;
interface Figure {
  readonly perSecond: number;
  readonly mbPerSecond: number;
  /** Processor time of the echoing process for one message, in microseconds. */
  readonly echoUs: number;
  /** And of the calling one. */
  readonly callerUs: number;
}
const figures = Object.fromEntries(names.map((name) => [name, { '1 KiB': [] as Figure[], '100 KB': [] as Figure[] }]));

const echoes = new Map<Transport, Echo>();

async function measure(name: Transport, size: Size, forSeconds: number): Promise<Figure> {
  const before = [cpuSeconds(peer.pid), cpuSeconds(process.pid)] as const;
  const { perSecond, count } = await run(echoes.get(name)!, SIZES[size], forSeconds);
  const used = (pid: number, since: number): number => ((cpuSeconds(pid) - since) / count) * 1e6;
  return {
    perSecond,
    mbPerSecond: (perSecond * SIZES[size]) / 1e6,
    echoUs: used(peer.pid, before[0]),
    callerUs: used(process.pid, before[1]),
  };
}

try {
  const wanted = names.filter((each) => only.includes(each));
  const sizes = (Object.keys(SIZES) as Size[]).filter((each) => onlySizes?.includes(each) ?? true);
  for (const name of wanted) {
    echoes.set(name, await transports[name]());
    for (const size of sizes) await measure(name, size, 1);
  }
  for (let round = 1; round <= rounds; round++) {
    for (const size of sizes) {
      for (const name of wanted) {
        const figure = await measure(name, size, seconds);
        figures[name]![size].push(figure);
        console.log(
          `round ${round}/${rounds} ${name} ${size}: ${figure.perSecond.toFixed(0)}/s, ${figure.mbPerSecond.toFixed(0)} MB/s, CPU ${figure.callerUs.toFixed(1)} + ${figure.echoUs.toFixed(1)} µs`,
        );
      }
    }
  }
  for (const echo of echoes.values()) echo.close();
} finally {
  await peer.stop();
  rmSync(folder, { recursive: true, force: true });
}

if (only === names) {
  // Neighbours in time are compared, so that a machine that is busy for a while slows both sides of a ratio.
  const ratio = (size: Size, other: Transport): number =>
    median(figures.frames![size].map(({ perSecond }, round) => perSecond / figures[other]![size][round]!.perSecond));
  record(
    'wire',
    [
      atLeast('1 KiB messages/s, frames to http2', ratio('1 KiB', 'http2'), '×', 8),
      atLeast('1 KiB messages/s, frames to ws', ratio('1 KiB', 'ws'), '×', 1.5),
      atLeast('100 KB, MB/s, frames to http2', ratio('100 KB', 'http2'), '×', 2),
      atLeast('100 KB, MB/s, frames to ws', ratio('100 KB', 'ws'), '×', 2),
    ],
    figures,
  );
}
process.exit(0);
