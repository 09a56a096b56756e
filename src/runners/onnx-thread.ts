/** The thread that owns one ONNX session: load, run one batch after another, release. Started by `onnx.ts`. */
import { parentPort } from 'node:worker_threads';
import type * as onnxruntime from 'onnxruntime-node';
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { joinTexts, splitTexts } from '../protocol/datatypes.ts';
import type { ElementType, RunnerInfo, Tensor, TensorShape } from '../worker/runner.ts';
import type { FromThread, ToThread } from './onnx-messages.ts';

const port = parentPort;
if (!port) throw new Error('onnx-thread.ts runs as a worker thread only');
type Runtime = typeof onnxruntime;
let loaded: { readonly runtime: Runtime; readonly session: InferenceSession } | undefined;

const say = (message: FromThread, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);
const textOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

port.on('message', (message: ToThread) => {
  switch (message.type) {
    case 'load':
      load(message.file, message.providers, message.threads).then(
        (info) => say({ type: 'loaded', info }),
        (thrown: unknown) => say({ type: 'refused', message: textOf(thrown) }),
      );
      return;
    case 'run':
      run(message.inputs).catch((thrown: unknown) => say({ type: 'failed', message: textOf(thrown) }));
      return;
    case 'unload':
      void unload();
      return;
    default:
      message satisfies never;
  }
});

/** An optional dependency: a worker that serves no ONNX model does not need its 300 MB. */
async function importRuntime(): Promise<Runtime> {
  try {
    // Its native part knows float16 as Uint16Array only, and its JavaScript takes Float16Array wherever there is one.
    Reflect.deleteProperty(globalThis, 'Float16Array');
    const runtime = await import('onnxruntime-node');
    // It throws what it logs, and the worker logs what is thrown.
    runtime.env.logLevel = 'fatal';
    return runtime;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new Error('runner onnx needs the package onnxruntime-node: install it with npm', { cause });
  }
}

/** ONNX Runtime throws when a provider is missing instead of taking the next, so the list is walked here; cpu ends it. */
async function load(file: string, providers: readonly string[], threads: number): Promise<RunnerInfo> {
  const runtime = await importRuntime();
  const warnings: string[] = [];
  const order = providers.includes('cpu') ? providers : [...providers, 'cpu'];
  for (const [index, provider] of order.entries()) {
    try {
      const session = await runtime.InferenceSession.create(file, {
        executionProviders: provider === 'cpu' ? ['cpu'] : [provider, 'cpu'],
        ...(threads > 0 ? { intraOpNumThreads: threads } : {}),
        interOpNumThreads: 1,
        extra: { session: { intra_op: { allow_spinning: '0' } } },
        executionMode: 'sequential',
        logSeverityLevel: 4,
      });
      loaded = { runtime, session };
      return describe(session, provider, warnings);
    } catch (thrown) {
      if (index === order.length - 1) throw thrown;
      warnings.push(`${provider} cannot be used, trying ${order[index + 1]}: ${textOf(thrown)}`);
    }
  }
  throw new Error('unreachable: the last provider either loads or throws');
}

function describe(session: InferenceSession, device: string, warnings: readonly string[]): RunnerInfo {
  const shapes = (metadata: readonly InferenceSession.ValueMetadata[]): TensorShape[] =>
    metadata.map((value) => ({
      name: value.name,
      type: value.isTensor ? value.type : 'not a tensor',
      dims: value.isTensor ? value.shape.map((dim) => (typeof dim === 'number' ? dim : null)) : [],
    }));
  return { inputs: shapes(session.inputMetadata), outputs: shapes(session.outputMetadata), device, warnings };
}

async function run(inputs: Readonly<Record<string, Tensor>>): Promise<void> {
  if (!loaded) throw new Error('the session is not loaded');
  const { runtime, session } = loaded;
  const feeds: Record<string, OrtTensor> = {};
  for (const [name, tensor] of Object.entries(inputs)) feeds[name] = toOrt(runtime, tensor);
  const results = await session.run(feeds);
  const outputs: Record<string, Tensor> = {};
  const transfer: ArrayBuffer[] = [];
  for (const [name, value] of Object.entries(results)) {
    const data = await dataOf(value);
    outputs[name] = { type: value.type as ElementType, dims: value.dims, data };
    transfer.push(data.buffer as ArrayBuffer);
    value.dispose();
  }
  say({ type: 'done', outputs }, transfer);
}

function toOrt({ Tensor: OrtTensor }: Runtime, { type, dims, data }: Tensor): OrtTensor {
  if (type === 'string') return new OrtTensor('string', textsOf(data as Uint8Array), dims);
  if (type === 'bfloat16') throw new Error('bfloat16 is a type that onnxruntime-node does not have');
  // The port's views are those of ONNX Runtime, under the same names.
  return new OrtTensor(type as 'float32', data as Float32Array, dims);
}

function textsOf(data: Uint8Array): string[] {
  return splitTexts(data).map((bytes) =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'),
  );
}

/** The memory behind an output belongs to the runtime and cannot be moved to another thread: it is copied, once. */
async function dataOf(value: OrtTensor): Promise<Tensor['data']> {
  const data = await value.getData();
  return Array.isArray(data) ? joinTexts(data) : (data as Float32Array).slice();
}

async function unload(): Promise<void> {
  await loaded?.session.release();
  loaded = undefined;
  port?.close();
}
