/**
 * What goes on, for those who watch: one collector, however many they are. Owner of the series, and of the latest snapshot.
 *
 * Nothing of it lies on the way of a request: counters that are there anyway are read once in five seconds (once a second while
 * somebody watches), and of each decided job its parts are added up.
 */
import type { Clock, Timer } from '../../clock.ts';
import type { Job, JobTimings } from '../../dispatch/job.ts';
import type { Logger } from '../../logger.ts';
import type { EngineStats } from '../engine-stats.ts';
import type { ModelView, Predictions, WorkerView } from '../ports.ts';
import { createDurations } from './durations.ts';
import { createModelRates, sumRates, type ModelRates } from './rates.ts';
import { createSeries, PERIOD_MS, shown, type Point, type SeriesView } from './series.ts';
import { createUsage } from './usage.ts';

/** Answered requests so far, by what became of them. */
export interface AnswerCounts {
  readonly all: number;
  readonly clientErrors: number;
  readonly serverErrors: number;
}

export interface ActivityOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly predictions: Pick<Predictions, 'models' | 'workers'>;
  readonly stats: () => Pick<EngineStats, 'totals'>;
  /** Returns how to stop. */
  readonly onDecided: (observer: (job: Job) => void) => () => void;
  readonly answers: () => AnswerCounts;
}

export interface Snapshot {
  /** Epoch ms. */
  readonly at: number;
  readonly models: readonly ModelView[];
  readonly workers: readonly WorkerView[];
  /** Of the latest window, by model. */
  readonly rates: ReadonlyMap<string, ModelRates>;
  /** The latest window; null: the first one is not over. */
  readonly point: Point | null;
  /** The point is new. */
  readonly isNewPoint: boolean;
}

export interface Activity {
  start(): void;
  stop(): void;
  series(): SeriesView;
  /** Calls back about once a second. Returns how to stop. */
  watch(observer: (snapshot: Snapshot) => void): () => void;
  /** As it stands now. */
  snapshot(): Promise<Snapshot>;
}

const LOOK_MS = 1_000;
const LOOKS_PER_POINT = PERIOD_MS / LOOK_MS;

type Parts = Record<'queue' | 'link' | 'batchWait' | 'decode' | 'compute', number>;
const noParts = (): Parts => ({ queue: 0, link: 0, batchWait: 0, decode: 0, compute: 0 });

/** All milliseconds that somebody has measured. */
export function totalMs({ queueMs, linkMs, workerQueueMs, decodeMs, batchMs, computeMs }: JobTimings): number {
  return queueMs + linkMs + workerQueueMs + decodeMs + batchMs + computeMs;
}

export function createActivity(options: ActivityOptions): Activity {
  const { clock, logger, predictions, answers } = options;
  const series = createSeries();
  const durations = createDurations();
  const modelRates = createModelRates();
  const usage = createUsage(clock);
  const observers = new Set<(snapshot: Snapshot) => void>();
  let parts = noParts();
  let rates: ReadonlyMap<string, ModelRates> = new Map();
  let point: Point | null = null;
  let pointAt = clock.monotonic();
  let answersBefore: AnswerCounts = { all: 0, clientErrors: 0, serverErrors: 0 };
  let looks = 0;
  let looking = false;
  let timer: Timer | null = null;
  let unfollow = (): void => undefined;

  function decided({ timings }: Job): void {
    if (timings === null) return;
    durations.add(totalMs(timings));
    parts.queue += timings.queueMs;
    parts.link += timings.linkMs;
    parts.batchWait += timings.workerQueueMs + timings.batchMs;
    parts.decode += timings.decodeMs;
    parts.compute += timings.computeMs;
  }

  function endWindow(models: readonly ModelView[], workers: readonly WorkerView[]): Point {
    const now = clock.monotonic();
    const seconds = Math.max(0.001, (now - pointAt) / 1_000);
    pointAt = now;
    rates = modelRates.look(options.stats().totals, seconds);
    const answered = answers();
    const per = (name: keyof AnswerCounts): number => (answered[name] - answersBefore[name]) / seconds;
    const { count } = durations;
    const mean = (part: keyof Parts): number => parts[part] / count;
    const raw: Record<keyof Point, number> = {
      requests_per_s: per('all'),
      client_errors_per_s: per('clientErrors'),
      server_errors_per_s: per('serverErrors'),
      ...sumRates(rates.values()),
      p50_ms: durations.quantile(0.5) ?? NaN,
      p95_ms: durations.quantile(0.95) ?? NaN,
      p99_ms: durations.quantile(0.99) ?? NaN,
      queue_ms: mean('queue'),
      link_ms: mean('link'),
      batch_wait_ms: mean('batchWait'),
      decode_ms: mean('decode'),
      compute_ms: mean('compute'),
      ...gaugesOf(models, workers),
      ...usage(),
    };
    answersBefore = answered;
    durations.clear();
    parts = noParts();
    return Object.fromEntries(Object.entries(raw).map(([name, value]) => [name, shown(value)])) as Point;
  }

  async function snapshot(endsWindow = false): Promise<Snapshot> {
    const models = await predictions.models();
    const workers = predictions.workers();
    const at = clock.now();
    if (endsWindow) {
      point = endWindow(models, workers);
      series.add(at, point);
    }
    return { at, models, workers, rates, point, isNewPoint: endsWindow };
  }

  async function look(): Promise<void> {
    looks += 1;
    const endsWindow = looks >= LOOKS_PER_POINT;
    // A store that takes its time: the window goes on until the next look.
    if (looking || (!endsWindow && observers.size === 0)) return;
    looking = true;
    if (endsWindow) looks = 0;
    try {
      const seen = await snapshot(endsWindow);
      for (const observer of observers) observer(seen);
    } catch (error) {
      logger.debug('no snapshot of what goes on', { error });
    } finally {
      looking = false;
    }
  }

  return {
    start() {
      unfollow = options.onDecided(decided);
      timer = clock.every(LOOK_MS, () => void look());
    },
    stop() {
      timer?.cancel();
      unfollow();
      observers.clear();
    },
    series: () => series.view(),
    watch(observer) {
      observers.add(observer);
      return () => observers.delete(observer);
    },
    snapshot: () => snapshot(),
  };
}

function gaugesOf(models: readonly ModelView[], workers: readonly WorkerView[]) {
  const sum = <T>(items: readonly T[], read: (item: T) => number): number =>
    items.reduce((total, item) => total + read(item), 0);
  const here = workers.filter(({ state }) => state !== 'away');
  return {
    waiting_jobs: sum(models, ({ waitingJobs }) => waitingJobs),
    processing_jobs: sum(models, ({ processingJobs }) => processingJobs),
    connected_workers: here.length,
    free_credit_rows: sum(here, (worker) => sum(worker.models, ({ creditRows }) => creditRows)),
  };
}
