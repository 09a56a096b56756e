/**
 * The figures of `/metrics` by which people scale: of all gateways on a database together, as of the latest look (see `scaling/`), and
 * what this one has to do. A scrape asks nobody for them. Labels are bounded: the models with the most work, and the rest as one.
 */
import { Gauge, type Registry } from 'prom-client';
import { queueS, workOffS } from '../scaling/policy.ts';
import type { ModelVerdict, Scaling, ScalingVerdict } from '../scaling/scaling.ts';
import { DEFAULT_WISHES } from '../scaling/targets.ts';
import type { ModelWork } from '../scaling/whole.ts';

export const MAX_LABELS = 200;
/** Not a name that a model can have. */
export const OTHERS = '(others)';

type Read = (one: ModelWork) => number | null;

/** Sums over gateways; null: it is left out, because nobody can say. */
const OF_MODELS: Readonly<Record<string, readonly [help: string, read: Read]>> = {
  postern_queue_jobs: ['Waiting jobs, of all gateways.', ({ waitingJobs }) => waitingJobs],
  postern_queue_rows: ['Rows of waiting jobs that might be claimed now.', ({ waitingRows }) => waitingRows],
  postern_queue_oldest_seconds: ['How long the oldest waiting job has waited.', ({ oldestMs }) => oldestMs / 1000],
  postern_queue_work_off_seconds: [
    'Waiting rows by rows a second of the last minute. Missing: no row was ended in it.',
    workOffS,
  ],
  postern_queue_seconds: ['The larger of the two: what to scale and to be alarmed by.', queueS],
  postern_in_flight_jobs: ['Jobs that a worker holds.', ({ inFlightJobs }) => inFlightJobs],
  postern_credit_rows: ['Rows that workers would take on top of what they have.', ({ freeRows }) => freeRows],
  postern_capacity_rows: ['Rows that workers take at once.', ({ capacityRows }) => capacityRows],
  postern_busy_rows: ['Rows at workers, in the mean of the last minute.', ({ busyRows }) => busyRows],
  postern_rows_per_second: ['Rows that workers ended, in the mean of the last minute.', ({ rowsPerS }) => rowsPerS],
  postern_model_workers: ['Workers that have it ready.', ({ workers }) => workers],
};

export function createWorkMetrics(register: Registry, scaling: Pick<Scaling, 'verdict'>): () => Promise<void> {
  const registers = [register];
  const ofModels = Object.entries(OF_MODELS).map(([name, [help, read]]) => ({
    gauge: new Gauge({ name, help, labelNames: ['model'], registers }),
    read,
  }));
  const wantedWorkers = new Gauge({
    name: 'postern_wanted_workers',
    help: 'Workers that the default targets want.',
    labelNames: ['model'],
    registers,
  });
  const plain = (name: string, help: string): Gauge => new Gauge({ name, help, registers });
  const gateways = plain('postern_gateways', 'Gateways that serve on this database.');
  const wantedGateways = plain('postern_wanted_gateways', 'Gateways that the default targets want.');
  const loop = plain('postern_event_loop_ratio', 'Share of the time in which the event loop of this gateway computes.');
  const cores = plain('postern_cpu_cores', 'Cores of processor that this gateway takes.');
  const sessions = plain('postern_worker_sessions', 'Workers that are connected to this gateway.');
  const labelled = [...ofModels.map(({ gauge }) => gauge), wantedWorkers];
  const single = [gateways, wantedGateways, loop, cores, sessions];

  return async () => {
    for (const gauge of labelled) gauge.reset();
    let verdict: ScalingVerdict;
    try {
      verdict = await scaling.verdict(DEFAULT_WISHES, null);
    } catch {
      // Nothing, and not what was: somebody would scale by it.
      for (const gauge of single) gauge.remove();
      return;
    }
    const { whole } = verdict;
    const { shown, others } = bounded(verdict.models);
    for (const { gauge, read } of ofModels) {
      for (const { model, work } of shown) set(gauge, model, read(work));
      if (others !== null) set(gauge, OTHERS, read(others));
    }
    for (const { model, wanted } of shown) wantedWorkers.set({ model }, wanted);
    gateways.set(whole.members.filter(({ state }) => state === 'serving').length);
    wantedGateways.set(verdict.gateways.wanted);
    const own = whole.members[0]!.load;
    loop.set(own.loop);
    cores.set(own.cores);
    sessions.set(own.sessions);
  };
}

function set(gauge: Gauge, model: string, value: number | null): void {
  if (value !== null) gauge.set({ model }, value);
}

function bounded(models: readonly ModelVerdict[]): { shown: readonly ModelVerdict[]; others: ModelWork | null } {
  if (models.length <= MAX_LABELS) return { shown: models, others: null };
  const weight = ({ work }: ModelVerdict): number => work.waitingRows + work.busyRows + work.capacityRows;
  const sorted = [...models].sort((a, b) => weight(b) - weight(a));
  const rest = sorted.slice(MAX_LABELS).map(({ work }) => work);
  const sum = (read: (work: ModelWork) => number): number => rest.reduce((total, work) => total + read(work), 0);
  return {
    shown: sorted.slice(0, MAX_LABELS),
    others: {
      waitingJobs: sum(({ waitingJobs }) => waitingJobs),
      waitingRows: sum(({ waitingRows }) => waitingRows),
      inFlightJobs: sum(({ inFlightJobs }) => inFlightJobs),
      freeRows: sum(({ freeRows }) => freeRows),
      capacityRows: sum(({ capacityRows }) => capacityRows),
      busyRows: sum(({ busyRows }) => busyRows),
      rowsPerS: sum(({ rowsPerS }) => rowsPerS),
      workers: Math.max(...rest.map(({ workers }) => workers)),
      oldestMs: Math.max(...rest.map(({ oldestMs }) => oldestMs)),
    },
  };
}
