/** Measures this gateway: once a second its sessions, and of each decided job its rows. Nothing else lies on the way of a request. */
import { performance } from 'node:perf_hooks';
import type { Clock } from '../../clock.ts';
import type { Job } from '../../dispatch/job.ts';
import type { ModelCounts } from '../../store/store.ts';
import { NO_SEATS, type ModelSeats } from '../engine-load.ts';
import { MAX_MODELS, MAX_NAMES, type GatewayLoad, type ModelLoad } from './load.ts';
import { createMinute, type Minute } from './minute.ts';

export interface OwnLoadOptions {
  readonly clock: Clock;
  readonly seats: () => ReadonlyMap<string, ModelSeats>;
  readonly callers: () => { readonly requests: number; readonly connections: number };
  readonly sessions: () => number;
}

/** What waits in this process's memory. */
export interface OwnQueues {
  readonly counts: ReadonlyMap<string, ModelCounts>;
  readonly oldest: ReadonlyMap<string, number>;
}

export type OwnLoad = ReturnType<typeof createOwnLoad>;

const round = (value: number): number => Math.round(value * 1e4) / 1e4;

export function createOwnLoad({ clock, seats, callers, sessions }: OwnLoadOptions) {
  const minutes = new Map<string, Minute>();
  const ended = new Map<string, number>();
  let now: ReadonlyMap<string, ModelSeats> = new Map();
  let sampledAt = clock.monotonic();
  let loopBefore = performance.eventLoopUtilization();
  let cpuBefore = process.cpuUsage();
  let measuredAt = clock.monotonic();
  let machine = { loop: 0, cores: 0 };

  /** Since the last call. */
  function measureMachine(): void {
    const seconds = (clock.monotonic() - measuredAt) / 1000;
    if (seconds < 0.5) return;
    const loopNow = performance.eventLoopUtilization();
    const { user, system } = process.cpuUsage(cpuBefore);
    machine = {
      loop: round(Math.min(1, performance.eventLoopUtilization(loopNow, loopBefore).utilization)),
      cores: round((user + system) / 1e6 / seconds),
    };
    [loopBefore, cpuBefore, measuredAt] = [loopNow, process.cpuUsage(), clock.monotonic()];
  }

  function modelLoad(model: string, queues: OwnQueues): ModelLoad {
    const { workers, freeRows, capacityRows } = now.get(model) ?? NO_SEATS();
    const minute = minutes.get(model);
    const counts = queues.counts.get(model);
    return {
      workers: workers.size > MAX_NAMES ? workers.size : [...workers],
      freeRows,
      capacityRows,
      busyRows: round(minute?.busyRows ?? 0),
      rowsPerS: round(minute?.rowsPerS ?? 0),
      waitingJobs: counts?.waitingJobs ?? 0,
      waitingRows: (counts?.waitingRows ?? 0) + (counts?.soloJobs ?? 0),
      inFlightJobs: counts?.processingJobs ?? 0,
      oldestMs: Math.round(queues.oldest.get(model) ?? 0),
    };
  }

  return {
    /** What was decided without an attempt (canceled or expired in the queue) was not worked off. */
    decided({ model, rows, status }: Pick<Job, 'model' | 'rows' | 'status'>): void {
      if (status === 'succeeded' || status === 'failed') ended.set(model, (ended.get(model) ?? 0) + rows);
    },
    sample(): void {
      const at = clock.monotonic();
      const seconds = Math.max(1e-3, (at - sampledAt) / 1000);
      sampledAt = at;
      now = seats();
      for (const model of [...now.keys(), ...ended.keys()]) {
        if (!minutes.has(model)) minutes.set(model, createMinute());
      }
      for (const [model, minute] of minutes) {
        minute.add(now.get(model)?.inFlightRows ?? 0, ended.get(model) ?? 0, seconds);
        if (!now.has(model) && minute.isIdle) minutes.delete(model);
      }
      ended.clear();
    },
    load(queues: OwnQueues): GatewayLoad {
      measureMachine();
      const names = new Set([...now.keys(), ...minutes.keys(), ...queues.counts.keys()]);
      const models = [...names].map((model) => [model, modelLoad(model, queues)] as const);
      const weight = (one: ModelLoad): number => one.busyRows + one.waitingRows + one.capacityRows;
      if (models.length > MAX_MODELS) models.sort(([, a], [, b]) => weight(b) - weight(a)).length = MAX_MODELS;
      return { ...callers(), sessions: sessions(), ...machine, models: Object.fromEntries(models) };
    },
  };
}
