/**
 * What `/v2` costs, and what is left of ONNX Runtime behind it. Two questions, each beside the raw runtime in the same run:
 *
 * - One caller, one binary tensor there and back (a network that copies): 1 KiB and 10 MB. The difference is all of Postern:
 *   HTTP, gateway, mutual TLS on loopback, worker, threads.
 * - Batchable load at saturation: rows per second of convolutional networks through Postern, beside the best that a loop
 *   over ONNX Runtime reaches at any batch size: one that costs as much as a small classifier of photos, and one that costs so
 *   little that carrying its input is as much work. One thread for the inference on both sides; rounds alternate.
 *
 * `npm run bench:tensors`. Needs wrk.
 */
import { Agent, request } from 'node:http';
import { loadavg } from 'node:os';
import * as onnxruntime from 'onnxruntime-node';
import { colourModel, identityModel } from '../test/support/onnx.ts';
import { PosternSystem, untilModel } from '../test/support/postern.ts';
import { makeTensorModels } from '../test/support/tensor-models.ts';
import { load } from './support/load.ts';
import { cpuSeconds } from './support/process.ts';
import { atLeast, median, record } from './support/record.ts';

const ROUND_S = 5;
const ROUNDS = 3;
/** Of square images: 602 KB and about 10 ms a row, and 49 KB and about 0.4 ms. */
const NETWORKS = [
  { name: 'classifier', sidePx: 224, extraConvolutions: 4, maxRows: 8, batches: [1, 4, 8] },
  { name: 'light', sidePx: 64, extraConvolutions: 2, maxRows: 32, batches: [1, 4, 8, 16, 32] },
] as const;
type Network = (typeof NETWORKS)[number];
const agent = new Agent({ keepAlive: true });

const copy = identityModel([{ name: 'x', datatype: 'FP32', shape: ['n'] }]);
const networkOf = ({ sidePx, extraConvolutions }: Network): Buffer =>
  colourModel({
    width: sidePx,
    height: sidePx,
    weights: [
      [1, 0, 0],
      [0, 1, 0],
    ],
    extraConvolutions,
  });

const open = (model: Buffer): Promise<onnxruntime.InferenceSession> =>
  onnxruntime.InferenceSession.create(model, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });

function binaryBody(name: string, shape: readonly number[], data: Float32Array): { body: Buffer; headerBytes: number } {
  const input = { name, datatype: 'FP32', shape, parameters: { binary_data_size: data.byteLength } };
  const head = Buffer.from(JSON.stringify({ inputs: [input], parameters: { binary_data_output: true } }));
  return { body: Buffer.concat([head, Buffer.from(data.buffer)]), headerBytes: head.length };
}

function post(url: string, body: Buffer, headerBytes: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'inference-header-content-length': headerBytes, 'content-length': body.length };
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      let bytes = 0;
      response.on('data', (chunk: Buffer) => (bytes += chunk.length));
      response.on('end', () =>
        response.statusCode === 200 ? resolve(bytes) : reject(new Error(`${response.statusCode}`)),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

async function p50Ms(count: number, once: () => Promise<unknown>): Promise<number> {
  for (let index = 0; index < Math.ceil(count / 5); index++) await once();
  const spans: number[] = [];
  for (let index = 0; index < count; index++) {
    const begun = performance.now();
    await once();
    spans.push(performance.now() - begun);
  }
  return median(spans);
}

async function roundTrip(url: string, bytes: number, count: number): Promise<{ rawMs: number; posternMs: number }> {
  const data = new Float32Array(bytes / 4).fill(1);
  const session = await open(copy);
  const rawMs = await p50Ms(count, async () => {
    const { x_out: output } = await session.run({ x: new onnxruntime.Tensor('float32', data, [data.length]) });
    output!.dispose();
  });
  await session.release();
  const { body, headerBytes } = binaryBody('x', [data.length], data);
  return { rawMs, posternMs: await p50Ms(count, () => post(`${url}/v2/models/copy/infer`, body, headerBytes)) };
}

/** Rows per second at the batch size that is best. */
async function rawRowsPerSecond(
  session: onnxruntime.InferenceSession,
  { sidePx }: Network,
  batches: readonly number[],
) {
  let best = { batch: 0, rowsPerSecond: 0, rows: 0 };
  for (const batch of batches) {
    const dims = [batch, 3, sidePx, sidePx];
    const data = new Float32Array(batch * 3 * sidePx * sidePx).fill(0.5);
    const spanMs = (ROUND_S * 1_000) / batches.length;
    let rows = 0;
    const begun = performance.now();
    while (performance.now() - begun < spanMs) {
      const { logits } = await session.run({ image: new onnxruntime.Tensor('float32', data, dims) });
      logits!.dispose();
      rows += batch;
    }
    const rowsPerSecond = (rows * 1_000) / (performance.now() - begun);
    if (rowsPerSecond > best.rowsPerSecond) best = { batch, rowsPerSecond, rows };
  }
  return best;
}

/** Rows per second of the loop and of Postern, in turn, and what a row costs each. */
async function saturate(url: string, network: Network, pids: readonly number[]) {
  const { name, sidePx, maxRows } = network;
  const session = await open(networkOf(network));
  const { batch } = await rawRowsPerSecond(session, network, network.batches);
  const data = new Float32Array(3 * sidePx * sidePx).fill(0.5);
  const { body, headerBytes } = binaryBody('image', [1, 3, sidePx, sidePx], data);
  const request = {
    url: `${url}/v2/models/${name}/infer`,
    connections: 2 * maxRows,
    seconds: ROUND_S,
    body,
    headers: { 'Inference-Header-Content-Length': String(headerBytes) },
  };
  await load(request);
  const rounds: { raw: number; postern: number; ratio: number; cpuMsOfRow: object }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const cpu = [pids.map(cpuSeconds)];
    const { rowsPerSecond: raw, rows } = await rawRowsPerSecond(session, network, [batch]);
    cpu.push(pids.map(cpuSeconds));
    const { requestsPerSecond: postern, requests } = await load(request);
    cpu.push(pids.map(cpuSeconds));
    // Processor time says what a full machine's clock cannot: what a row costs, and where.
    const spentMs = (at: number, of: number, count: number): number =>
      ((cpu[at]![of]! - cpu[at - 1]![of]!) * 1_000) / count;
    const cpuMsOfRow = { raw: spentMs(1, 0, rows), gateway: spentMs(2, 1, requests), worker: spentMs(2, 2, requests) };
    rounds.push({ raw, postern, ratio: postern / raw, cpuMsOfRow });
  }
  await session.release();
  return { batch, share: 100 * median(rounds.map(({ ratio }) => ratio)), rounds };
}

const models = await makeTensorModels([
  { name: 'copy', network: copy, manifest: { batch: { max_rows: 1 } } },
  ...NETWORKS.map((one) => ({
    name: one.name,
    network: networkOf(one),
    manifest: { batch: { max_rows: one.maxRows } },
  })),
]);
const system = new PosternSystem({ modelsDir: models.path });
try {
  const gateway = await system.gateway();
  const worker = system.worker(gateway, system.issue('gpu-1'));
  const pids = [process.pid, gateway.pid, worker.pid];
  for (const { name } of [{ name: 'copy' }, ...NETWORKS]) await untilModel(gateway.url, name);

  const small = await roundTrip(gateway.url, 1_024, 500);
  const large = await roundTrip(gateway.url, 10_000_000, 20);
  const classifier = await saturate(gateway.url, NETWORKS[0], pids);
  const light = await saturate(gateway.url, NETWORKS[1], pids);
  console.log('p50 of one call, raw and through Postern, ms', { small, large });
  record(
    'tensors',
    [
      atLeast('batchable load of a small classifier, share of the raw loop', classifier.share, '%', 90),
      atLeast('batchable load of a very light network, share of the raw loop', light.share, '%', 90),
    ],
    { small, large, classifier, light, loadAverage: loadavg()[0] },
  );
} finally {
  await system.remove();
  await models.remove();
  agent.destroy();
}
