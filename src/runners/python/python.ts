/**
 * A model in Python, in a process of its own: one batch at a time over a Unix socket (`frames.ts`).
 *
 *   created → starting → loading → idle ⇄ running → gone
 *
 * The process is ended when it does not start, load or answer in time, when it holds too much memory, and on unload; whoever
 * waits then is told why. A loaded process that is gone without having been asked is told to `onExit`, once.
 */
import { join } from 'node:path';
import type { Timer } from '../../clock.ts';
import { isErrorCode, PosternError, toPosternError } from '../../errors.ts';
import type { BytesInput, CreateRunner, Output, RunCall, Runner, RunnerInfo, Tensor } from '../../worker/runner.ts';
import { startChild } from './child.ts';
import type { PythonChild } from './child.ts';
import { FRAME, openChannel } from './frames.ts';
import type { Channel, Frame } from './frames.ts';
import { residentMb } from './memory.ts';
import type { PythonOptions } from './options.ts';
import { tensorHeads, tensorMemory, readOutcomes, readPart, readProgress, readTensors } from './values.ts';

/** An unload lets the process end by itself for so long. */
const LEAVE_MS = 3_000;
const MEMORY_CHECK_MS = 1_000;
/** A model that leaks is restarted between two batches; one that holds so much more is ended at once. */
const MEMORY_AT_ONCE = 1.5;
/** Padding and the like, beside the outputs themselves. */
const SLACK_BYTES = 65_536;

/** What waits for an answer. */
interface Running {
  readonly items: number;
  readonly call: RunCall;
  readonly timer: Timer;
  readonly onAbort: () => void;
  settle(frame: Frame): void;
  reject(error: PosternError): void;
}

export function createPythonRunner(python: PythonOptions): CreateRunner {
  return (options) => {
    const { clock, logger } = python;
    let child: PythonChild | undefined;
    let channel: Channel | undefined;
    let loading: PromiseWithResolvers<RunnerInfo> | undefined;
    let running: Running | null = null;
    let memoryCheck: Timer | undefined;
    let ready = false;
    let unloading = false;
    let gone = false;
    let told = false;
    /** Why this side ended the process. */
    let ending: PosternError | undefined;

    function onFrame(frame: Frame): Promise<void> | undefined {
      switch (frame.type) {
        case FRAME.ready: {
          const { python: version, device } = frame.head as { python?: string; device?: string };
          logger.info('python process is ready', { pid: child?.pid, python: version });
          loading?.resolve({ inputs: python.inputs, outputs: python.outputs, device: device ?? 'cpu', warnings: [] });
          return undefined;
        }
        case FRAME.refused: {
          const { message } = frame.head as { message?: string };
          loading?.reject(new PosternError('model_invalid', message ?? 'the model could not be loaded'));
          return undefined;
        }
        case FRAME.result:
        case FRAME.failed:
          finish(frame);
          return undefined;
        case FRAME.part:
          return running ? onPart(running, frame) : undefined;
        case FRAME.progress:
          if (running) readProgress(frame, running.items, running.call.events);
          return undefined;
        default:
          end(new PosternError('model_unavailable', `the Python process sent a frame of type ${frame.type}`));
          return undefined;
      }
    }

    function onPart({ call, items }: Running, frame: Frame): Promise<void> | undefined {
      const part = readPart(frame, items);
      if (part instanceof PosternError) {
        end(part);
        return undefined;
      }
      try {
        return call.events.partial(part.item, part.output)?.catch(() => undefined);
      } catch {
        // It put out more than it may. The lane has noted that; the model need not go on with this item.
        channel?.send(FRAME.cancel, { items: [part.item] });
        return undefined;
      }
    }

    function finish(frame: Frame): void {
      const ended = stopRunning();
      if (!ended) return;
      // Before the answer, so that nobody takes the model for free in between.
      if (ending === undefined && isOverMemory(1)) restartForMemory();
      if (frame.type === FRAME.failed) {
        const { error, message } = frame.head as { error?: unknown; message?: string };
        ended.reject(new PosternError(isErrorCode(error) ? error : 'model_failed', message ?? 'the model failed'));
      } else {
        ended.settle(frame);
      }
    }

    function stopRunning(): Running | null {
      const ended = running;
      running = null;
      ended?.timer.cancel();
      ended?.call.signal.removeEventListener('abort', ended.onAbort);
      return ended;
    }

    /** Ends the process; what waits fails with this when it is gone. */
    function end(error: PosternError): void {
      ending ??= error;
      child?.kill();
    }

    function isOverMemory(times: number): boolean {
      const limit = python.memoryLimitMb;
      return limit > 0 && child !== undefined && (residentMb(child.pid) ?? 0) > limit * times;
    }

    function restartForMemory(): void {
      const message = `the model's process holds more than ${python.memoryLimitMb} MB (python.memory_limit_mb) and was ended`;
      end(new PosternError('runner_crashed', message));
      if (!running) tellExit(message);
    }

    /** Nothing more is taken; a new runner is to be made. */
    function tellExit(message: string): void {
      if (!ready || unloading || told) return;
      told = true;
      options.onExit(new PosternError('model_unavailable', message));
    }

    function checkMemory(): void {
      if (ready && ending === undefined && isOverMemory(running ? MEMORY_AT_ONCE : 1)) restartForMemory();
    }

    function onGone(reason: string): void {
      gone = true;
      memoryCheck?.cancel();
      channel?.close();
      const error = ending ?? new PosternError('runner_crashed', `the model's process ended while it ran (${reason})`);
      if (!ready)
        loading?.reject(
          ending ?? new PosternError('model_invalid', `the process ended while it loaded the model (${reason})`),
        );
      stopRunning()?.reject(error);
      tellExit(error.message);
    }

    async function start(): Promise<void> {
      const started = await startChild(options.folder, python);
      child = started;
      // Unloaded meanwhile: nothing else would end it.
      if (unloading) started.kill();
      void started.exited.then(onGone);
      channel = await openChannel(started.socketPath, {
        maxDataBytes: () => (python.maxOutputBytes + SLACK_BYTES) * (running?.items ?? 1),
        onFrame,
        onViolation: end,
      });
      await started.forgetSocket();
      channel.send(FRAME.load, {
        file: join(options.folder, options.file),
        entry: python.entry,
        form: python.form,
        outputs: python.outputs.map(({ name }) => name),
        maxOutputBytes: python.maxOutputBytes,
      });
    }

    /** One call: the frame, and what to do with its answer. */
    function call<T>(
      items: number,
      head: object,
      segments: readonly Uint8Array[],
      runCall: RunCall,
      read: (frame: Frame) => T | PosternError,
    ): Promise<T> {
      const { signal } = runCall;
      if (signal.aborted) return Promise.reject(new PosternError('canceled', 'canceled before it ran'));
      if (!channel || !ready || gone || ending) {
        return Promise.reject(new PosternError('model_unavailable', 'the model is not loaded'));
      }
      if (running) return Promise.reject(new PosternError('internal', 'run was called while the runner was busy'));
      const to = channel;
      return new Promise<T>((resolve, reject) => {
        const cancel = (places: number[]): void => {
          if (running === mine) to.send(FRAME.cancel, { items: places });
        };
        const mine: Running = {
          items,
          call: runCall,
          timer: clock.after(python.predictTimeoutMs, onTimeout),
          onAbort: () => cancel(Array.from({ length: items }, (_, item) => item)),
          settle(frame) {
            const value = read(frame);
            if (value instanceof PosternError) reject(value);
            else resolve(value);
          },
          reject,
        };
        running = mine;
        signal.addEventListener('abort', mine.onAbort);
        // The signal of the whole batch is enough for a batch of one.
        for (let item = 0; items > 1 && item < items; item += 1) {
          runCall.signalOf(item).addEventListener('abort', () => cancel([item]), { once: true });
        }
        to.send(FRAME.call, head, segments);
      });
    }

    function onSetupTimeout(): void {
      const message = `setup() took longer than ${python.setupTimeoutMs / 1_000} s (python.setup_timeout_s)`;
      end(new PosternError('model_invalid', message));
    }

    function onTimeout(): void {
      const message = `the model did not answer within ${python.predictTimeoutMs / 1_000} s (python.predict_timeout_s) and was ended`;
      end(new PosternError('model_timeout', message));
    }

    const runner: Runner = {
      async load() {
        loading = Promise.withResolvers<RunnerInfo>();
        // The process can be gone before anybody waits for what it says.
        loading.promise.catch(() => undefined);
        let setup: Timer | undefined;
        try {
          await start();
          setup = clock.after(python.setupTimeoutMs, onSetupTimeout);
          const info = await loading.promise;
          if (python.memoryLimitMb > 0) memoryCheck = clock.every(MEMORY_CHECK_MS, checkMemory);
          ready = true;
          return info;
        } catch (thrown) {
          throw ending ?? toPosternError(thrown, 'model_invalid');
        } finally {
          setup?.cancel();
        }
      },
      run: (inputs, runCall) =>
        call<Readonly<Record<string, Tensor>>>(
          runCall.items,
          { count: runCall.items, tensors: tensorHeads(inputs) },
          tensorMemory(inputs),
          runCall,
          readTensors,
        ),
      runValues: (values, runCall) =>
        call<readonly (Output | PosternError)[]>(
          values.length,
          { items: values.map(headOf) },
          values.map((value) => value.input),
          runCall,
          (frame) => readOutcomes(frame, values.length),
        ),
      async unload() {
        unloading = true;
        const leaving = child;
        if (!leaving) return;
        channel?.send(FRAME.unload, {});
        const force = clock.after(running || !ready ? 0 : LEAVE_MS, () => leaving.kill());
        await leaving.exited;
        force.cancel();
      },
    };
    return runner;
  };
}

function headOf({ contentType, input, parameters }: BytesInput): object {
  const head = { type: contentType, bytes: input.byteLength };
  for (const _ in parameters) return { ...head, parameters };
  return head;
}
