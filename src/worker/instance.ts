/**
 * One running copy of a model: a runner that is loaded, warmed up by real inferences, and loaded again when it dies.
 *
 *   loading ──warm-up passed──▶ idle ⇄ busy        crash: idle|busy ──▶ loading, after a back-off
 *      └────────refused───────▶ failed (first load only; later it tries again)        stop: any ──▶ stopped
 *
 * Owner of the runner and of these states; the lane asks.
 */
import { PosternError, toPosternError } from '../errors.ts';
import type { Clock, Timer } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { runItems } from './kinds/kind.ts';
import type { BatchKind, Item } from './kinds/kind.ts';
import type { CreateRunner, Output, RunCall, Runner, RunnerInfo, RunnerOptions } from './runner.ts';

/** A crash at once, then 0.2 s, 0.4 s … 30 s, each ± 50 %, so that a model that cannot stay up costs little. */
const RELOAD_BASE_MS = 200;
const RELOAD_MAX_MS = 30_000;

/** A stop waits so long for the runner to let go: native code (a load, a batch) cannot be interrupted. */
const UNLOAD_MS = 10_000;

/** Nobody cancels a warm-up, and nobody hears its parts. */
export function warmUpCall(items: number): RunCall {
  const { signal } = new AbortController();
  return {
    items,
    signal,
    signalOf: () => signal,
    events: { partial: () => undefined, progress: () => undefined },
  };
}

export type InstanceState = 'loading' | 'idle' | 'busy' | 'failed' | 'stopped';

export interface InstanceOptions {
  readonly createRunner: CreateRunner;
  readonly runnerOptions: Omit<RunnerOptions, 'onExit'>;
  readonly kind: BatchKind;
  readonly warmUpRuns: number;
  readonly maxRows: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** After every change of state. */
  readonly onChange: () => void;
}

export interface Instance {
  readonly state: InstanceState;
  /** Why the latest load failed or the runner died; null while all is well. */
  readonly error: PosternError | null;
  /** Loads that failed in a row. */
  readonly failures: number;
  start(): Promise<void>;
  /** One batch: an outcome for each item, in order. */
  run(items: readonly Item[], call: RunCall): Promise<readonly (Output | PosternError)[]>;
  stop(): Promise<void>;
}

export function createInstance(options: InstanceOptions): Instance {
  const { kind, clock, logger } = options;
  let state: InstanceState = 'loading';
  let error: PosternError | null = null;
  let failures = 0;
  let runner: Runner | undefined;
  let reload: Timer | undefined;
  let everReady = false;
  let loading: Promise<void> = Promise.resolve();

  function move(to: InstanceState): void {
    if (state === to || state === 'stopped') return;
    const from = state;
    state = to;
    if (to !== 'busy' && from !== 'busy') logger.debug('model instance changed state', { from, to });
    options.onChange();
  }

  async function load(): Promise<void> {
    const begunAt = clock.monotonic();
    let current: Runner | undefined;
    try {
      current = options.createRunner({ ...options.runnerOptions, onExit: (cause) => onExit(current, cause) });
      runner = current;
      const info = await current.load();
      kind.check(info);
      for (const warning of info.warnings) logger.warn('model runner warning', { warning });
      await warmUp(current, info);
      if (runner !== current) return;
      failures = 0;
      error = null;
      everReady = true;
      logger.info('model is ready', { device: info.device, tookMs: Math.round(clock.monotonic() - begunAt) });
      move('idle');
    } catch (thrown) {
      // A runner that died was dealt with by onExit; otherwise it is still there and holds memory.
      if (runner !== current) return;
      runner = undefined;
      await current?.unload().catch(() => undefined);
      onLoadFailed(toPosternError(thrown, 'model_invalid'));
    }
  }

  /** Ready means that a real inference passed: one row, then a full batch, as often as the manifest asks. */
  async function warmUp(current: Runner, info: RunnerInfo): Promise<void> {
    const sample = await kind.sample();
    const item = await kind.prepare(sample.input, sample.contentType, sample.parameters);
    for (let run = 0; run < options.warmUpRuns; run++) {
      const items = Array.from({ length: run % 2 === 0 ? 1 : options.maxRows }, () => item);
      const outcomes = await runItems(kind, current, items, warmUpCall(items.length));
      const bad = outcomes.find((outcome) => outcome instanceof PosternError);
      if (bad) throw new PosternError('model_invalid', `the warm-up on ${info.device} failed: ${bad.message}`);
    }
  }

  function onLoadFailed(cause: PosternError): void {
    failures++;
    error = cause;
    logger.error('model could not be loaded', { code: cause.code, reason: cause.message, failures });
    if (!everReady && !cause.retryable) {
      move('failed');
      return;
    }
    scheduleReload();
    // The state stays `loading`, but another failure in a row is news.
    options.onChange();
  }

  function onExit(died: Runner | undefined, cause: PosternError): void {
    if (runner !== died || state === 'stopped') return;
    runner = undefined;
    failures++;
    error = cause;
    logger.error('model runner died', { code: cause.code, reason: cause.message, failures });
    scheduleReload();
  }

  function scheduleReload(): void {
    if (state === 'stopped') return;
    const delayMs =
      failures <= 1 ? 0 : Math.min(RELOAD_MAX_MS, RELOAD_BASE_MS * 2 ** (failures - 2)) * (0.5 + options.random());
    reload = clock.after(delayMs, () => {
      loading = load();
    });
    move('loading');
  }

  return {
    get state() {
      return state;
    },
    get error() {
      return error;
    },
    get failures() {
      return failures;
    },
    start() {
      loading = load();
      return loading;
    },
    async run(items, call) {
      if (state !== 'idle' || !runner) throw new PosternError('model_unavailable', 'the model is not loaded');
      const current = runner;
      move('busy');
      try {
        return await runItems(kind, current, items, call);
      } finally {
        if (runner === current) move('idle');
      }
    },
    async stop() {
      reload?.cancel();
      const current = runner;
      runner = undefined;
      state = 'stopped';
      const { promise: overdue, resolve } = Promise.withResolvers<void>();
      const limit = clock.after(UNLOAD_MS, () => {
        logger.warn('model runner does not let go', { waitedMs: UNLOAD_MS });
        resolve();
      });
      await Promise.race([Promise.allSettled([current?.unload(), loading]), overdue]);
      limit.cancel();
    },
  };
}
