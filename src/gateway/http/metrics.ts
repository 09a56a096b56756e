/**
 * `/metrics` for Prometheus. What happens thousands of times a second only counts up plain numbers; everything else is
 * looked up when somebody scrapes.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Job } from '../../dispatch/job.ts';
import type { Predictions, Webhooks } from '../ports.ts';
import type { Scaling } from '../scaling/scaling.ts';
import type { BodyBudget } from './budget.ts';
import { createWorkMetrics, MAX_LABELS } from './metrics-work.ts';
import type { StatusCounts } from './route.ts';

/** Lets somebody see every job when it is decided. Returns how to stop. */
export type OnDecided = (observer: (job: Job) => void) => () => void;

export interface RouteCounts {
  readonly method: string;
  readonly route: string;
  readonly counts: StatusCounts;
}

export interface MetricsOptions {
  readonly predictions: Pick<Predictions, 'workers'>;
  readonly webhooks: Pick<Webhooks, 'pending'>;
  readonly onDecided: OnDecided;
  readonly routes: readonly RouteCounts[];
  readonly budget: BodyBudget;
  /** Requests that were passed on to other gateways, by what became of them. */
  readonly forwarded: Readonly<Record<string, number>>;
  readonly requestsInFlight: () => number;
  readonly connections: () => number;
  readonly scaling: Pick<Scaling, 'verdict'>;
}

export interface Metrics {
  readonly contentType: string;
  /** The page that Prometheus reads. */
  render(): Promise<string>;
  stop(): void;
}

/** From half a millisecond (a no-op on the same machine) to a minute (the longest that a caller may wait). */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function createMetrics(options: MetricsOptions): Metrics {
  const { predictions, routes, budget } = options;
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const requests = new Counter({
    name: 'postern_http_requests_total',
    help: 'Answered HTTP requests. Status 499: the caller left before the answer.',
    labelNames: ['route', 'method', 'status'],
    registers,
    collect() {
      this.reset();
      for (const { route, method, counts } of routes) {
        for (const [status, count] of counts) this.inc({ route, method, status: String(status) }, count);
      }
    },
  });
  const decided = new Counter({
    name: 'postern_predictions_total',
    help: 'Decided predictions.',
    labelNames: ['model', 'status'],
    registers,
  });
  const seconds = new Histogram({
    name: 'postern_prediction_seconds',
    help: 'Where the time of succeeded predictions went.',
    labelNames: ['part'],
    buckets: SECONDS,
    registers,
  });
  const forwarded = new Counter({
    name: 'postern_forwarded_requests_total',
    help: 'Requests passed on to another gateway: answered there, refused before they were begun, not delivered, lost, or left by their caller.',
    labelNames: ['result'],
    registers,
    collect() {
      this.reset();
      for (const [result, count] of Object.entries(options.forwarded)) this.inc({ result }, count);
    },
  });
  gauge('postern_in_flight_requests', 'HTTP requests that are being answered.', () => options.requestsInFlight());
  gauge('postern_http_connections', 'Open connections of callers.', options.connections);
  gauge('postern_body_bytes', 'Bytes of request bodies held in memory.', () => budget.usedBytes);
  gauge('postern_webhook_deliveries', 'Webhooks that wait to be delivered, retries included.', () =>
    options.webhooks.pending(),
  );
  const readWork = createWorkMetrics(registry, options.scaling);
  const workers = new Gauge({ name: 'postern_workers', help: 'Workers.', labelNames: ['state'], registers });
  const roundTrip = new Gauge({
    name: 'postern_worker_round_trip_seconds',
    help: 'Latest ping of a connected worker; of the slowest ones where there are very many.',
    labelNames: ['worker'],
    registers,
  });

  function gauge(name: string, help: string, read: () => number | Promise<number>): void {
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        this.set(await read());
      },
    });
  }

  function readWorkers(): void {
    for (const metric of [workers, roundTrip]) metric.reset();
    const views = predictions.workers();
    for (const { state } of views) workers.inc({ state });
    const pinged = views.flatMap(({ name, state, roundTripMs }) =>
      roundTripMs === null || state === 'away' ? [] : [{ name, roundTripMs }],
    );
    pinged.sort((a, b) => b.roundTripMs - a.roundTripMs);
    for (const { name, roundTripMs } of pinged.slice(0, MAX_LABELS))
      roundTrip.set({ worker: name }, roundTripMs / 1000);
  }

  const parts = { queue: seconds.labels('queue'), link: seconds.labels('link'), compute: seconds.labels('compute') };
  // A child with its labels resolved counts several times faster than a call with labels. Bounded by the models there are.
  const children = new Map<string, Counter.Internal>();
  const stop = options.onDecided((job) => {
    const key = `${job.model} ${job.status}`;
    let child = children.get(key);
    if (!child) children.set(key, (child = decided.labels(job.model, job.status)));
    child.inc();
    if (job.timings === null) return;
    parts.queue.observe(job.timings.queueMs / 1000);
    parts.link.observe(job.timings.linkMs / 1000);
    parts.compute.observe(job.timings.computeMs / 1000);
  });

  void requests;
  void forwarded;
  return {
    contentType: registry.contentType,
    async render() {
      readWorkers();
      await readWork();
      return registry.metrics();
    },
    stop() {
      stop();
      registry.clear();
    },
  };
}
