/** What the engine counts, per model: read by `/metrics`. Counters only grow; gauges are read when asked. */
import type { Dispatcher } from '../dispatch/dispatcher.ts';
import type { Job } from '../dispatch/job.ts';

export interface ModelTotals {
  submitted: number;
  refused: number;
  succeeded: number;
  failed: number;
  canceled: number;
  aborted: number;
  /** Attempts that ended without deciding their job. */
  retried: number;
}

export interface EngineStats {
  readonly totals: ReadonlyMap<string, Readonly<ModelTotals>>;
  /** Results, failures and confirmations that came too late or twice; harmless, but many of them mean trouble. */
  readonly lateMessages: number;
  readonly waitingCallers: number;
  readonly inFlightJobs: number;
  readonly connectedWorkers: number;
}

export function engineStats(
  { totals }: { readonly totals: EngineStats['totals'] },
  lateMessages: number,
  waiters: { readonly size: number },
  dispatcher: Pick<Dispatcher, 'inFlightJobs' | 'sessions'>,
): EngineStats {
  return {
    totals,
    lateMessages,
    waitingCallers: waiters.size,
    inFlightJobs: dispatcher.inFlightJobs,
    connectedWorkers: [...dispatcher.sessions()].filter(({ state }) => state !== 'away').length,
  };
}

export function createTotals() {
  const totals = new Map<string, ModelTotals>();
  function of(model: string): ModelTotals {
    let found = totals.get(model);
    if (!found) {
      found = { submitted: 0, refused: 0, succeeded: 0, failed: 0, canceled: 0, aborted: 0, retried: 0 };
      totals.set(model, found);
    }
    return found;
  }
  return {
    totals: totals as ReadonlyMap<string, Readonly<ModelTotals>>,
    of,
    decided(job: Job): void {
      if (job.status === 'starting' || job.status === 'processing') return;
      of(job.model)[job.status] += 1;
    },
  };
}
