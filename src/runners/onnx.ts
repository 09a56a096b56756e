/**
 * ONNX Runtime in a thread of its own. onnxruntime-node 1.30 runs the inference inside a `setImmediate` callback: its
 * promise does not take it off the event loop (measured: a 140 ms inference stops the loop for 140 ms), so the session
 * lives in a worker thread and tensors are moved there and back without copying.
 *
 * State: created → loading → idle ⇄ running → closed. Whoever waits when the thread ends is told so.
 */
import { Worker } from 'node:worker_threads';
import { join } from 'node:path';
import { PosternError } from '../errors.ts';
import type { CreateRunner, Runner, RunnerInfo, RunnerOptions, Tensor } from '../worker/runner.ts';
import type { FromThread, ToThread } from './onnx-messages.ts';

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: PosternError): void;
}

const spawnThread = (): Worker => new Worker(new URL('./onnx-thread.ts', import.meta.url), { name: 'postern-onnx' });

export const createOnnxRunner: CreateRunner = (options) => createRunnerInThread(options, spawnThread);

/** With the thread given, so that a test can end it. */
export function createRunnerInThread(options: RunnerOptions, spawn: () => Worker): Runner {
  let thread: Worker | undefined;
  let exited: Promise<void> = Promise.resolve();
  let loading: Waiter<RunnerInfo> | undefined;
  let running: Waiter<Readonly<Record<string, Tensor>>> | undefined;
  let unloading = false;

  function onMessage(message: FromThread): void {
    switch (message.type) {
      case 'loaded':
        loading?.resolve(message.info);
        loading = undefined;
        return;
      case 'refused':
        loading?.reject(new PosternError('model_invalid', message.message.replaceAll(`${options.folder}/`, '')));
        loading = undefined;
        return;
      case 'done':
        running?.resolve(message.outputs);
        running = undefined;
        return;
      case 'failed':
        running?.reject(new PosternError('model_failed', `ONNX Runtime: ${message.message}`));
        running = undefined;
        return;
      default:
        message satisfies never;
    }
  }

  function onEnd(cause: unknown): void {
    if (thread === undefined) return;
    thread = undefined;
    const reason = cause instanceof Error ? cause.message : `exit code ${String(cause)}`;
    const error = new PosternError('model_unavailable', `the ONNX thread ended: ${reason}`, { cause });
    loading?.reject(error);
    running?.reject(error);
    loading = running = undefined;
    if (!unloading) options.onExit(error);
  }

  const post = (message: ToThread, transfer: ArrayBuffer[] = []): void => thread?.postMessage(message, transfer);

  return {
    load() {
      const { promise, resolve, reject } = Promise.withResolvers<RunnerInfo>();
      loading = { resolve, reject };
      const worker = spawn();
      thread = worker;
      worker.on('message', onMessage);
      worker.once('error', onEnd);
      worker.once('messageerror', onEnd);
      exited = new Promise((resolveExit) => {
        worker.once('exit', (code) => {
          onEnd(code);
          resolveExit();
        });
      });
      post({
        type: 'load',
        file: join(options.folder, options.file),
        providers: options.providers,
        threads: options.threads,
      });
      return promise;
    },
    run(inputs, { signal }) {
      if (signal.aborted) return Promise.reject(new PosternError('canceled', 'canceled before it ran'));
      if (!thread) return Promise.reject(new PosternError('model_unavailable', 'the model is not loaded'));
      if (running) return Promise.reject(new PosternError('internal', 'run was called while the runner was busy'));
      const { promise, resolve, reject } = Promise.withResolvers<Readonly<Record<string, Tensor>>>();
      const memory = Object.values(inputs).map((tensor) => tensor.data.buffer as ArrayBuffer);
      try {
        post({ type: 'run', inputs }, memory);
      } catch (cause) {
        return Promise.reject(new PosternError('internal', 'the tensors cannot be given away', { cause }));
      }
      running = { resolve, reject };
      return promise;
    },
    async unload() {
      unloading = true;
      // The thread releases the session and leaves by itself: ending it from outside would tear native memory down mid-use.
      post({ type: 'unload' });
      await exited;
    },
  };
}
