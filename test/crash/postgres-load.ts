/**
 * Several gateways' stores on one PostgreSQL under load, as one history: callers submit, workers claim and settle and keep a result until
 * the store has answered, every second sessions are kept and time is looked after. What was acknowledged is noted, and compared in the end.
 */
import { randomBytes } from 'node:crypto';
import { systemClock, sleep } from '../../src/clock.ts';
import { createIds } from '../../src/dispatch/id.ts';
import { TERMINAL, type Job, type JobId, type SessionId } from '../../src/dispatch/job.ts';
import { toPosternError } from '../../src/errors.ts';
import type { Store } from '../../src/store/store.ts';
import { contentOf, fenceOf, MODEL, newJob, succeeded } from './load.ts';

export const LEASE_MS = 6_000;
const ROWS = 8;
const CALLERS = 4;
const BACK_OFF_MS = 20;

export interface PostgresLoad {
  readonly decided: () => number;
  /** How often the stores said that they could not. */
  readonly refusals: () => number;
  /** Resolves when so many more are decided. */
  more(jobs: number): Promise<void>;
  /** Ends the load, works off what is left, and says what is wrong: what was lost, decided twice or changed. */
  finish(): Promise<string[]>;
}

export function startPostgresLoad(stores: readonly Store[]): PostgresLoad {
  const nextId = createIds(systemClock, randomBytes);
  const accepted = new Set<JobId>();
  /** The attempt whose result the store said that it took. */
  const appliedBy = new Map<JobId, number>();
  const violations: string[] = [];
  let refusals = 0;
  let decided = 0;
  let isOver = false;
  let watchers: { readonly at: number; readonly resolve: () => void }[] = [];

  const wrong = (what: string): void => {
    if (violations.length < 20) violations.push(what);
  };
  const pause = (): Promise<void> => sleep(systemClock, BACK_OFF_MS);

  async function tried<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      const { code, message } = toPosternError(error);
      if (code !== 'storage_failed' && code !== 'overloaded') wrong(`${code}: ${message}`);
      refusals += 1;
      await pause();
      return null;
    }
  }

  async function caller(store: Store): Promise<void> {
    while (!isOver) {
      const jobs = Array.from({ length: 4 }, () => newJob(nextId()));
      const outcomes = await tried(() => store.submit(jobs));
      for (const outcome of outcomes ?? []) {
        if (outcome.type === 'accepted') accepted.add(outcome.job.id);
        else wrong(`not accepted: ${JSON.stringify(outcome)}`);
      }
      await pause();
    }
  }

  /** A result is sent until it is answered, as a worker does. */
  async function settle(store: Store, jobs: readonly Job[]): Promise<void> {
    const ends = jobs.map((job) => ({ fence: fenceOf(job), outcome: succeeded(job) }));
    let outcomes = await tried(() => store.settle(ends));
    while (outcomes === null) outcomes = await tried(() => store.settle(ends));
    for (const [index, outcome] of outcomes.entries()) {
      const { id, attempt } = jobs[index]!;
      if (outcome.type === 'unknown') wrong(`${id} is unknown to its own result`);
      if (outcome.type !== 'applied') continue;
      if (appliedBy.has(id)) wrong(`${id} was decided twice: attempts ${appliedBy.get(id)} and ${attempt}`);
      appliedBy.set(id, attempt);
      decided += 1;
    }
    for (const { at, resolve } of watchers) if (decided >= at) resolve();
    watchers = watchers.filter(({ at }) => decided < at);
  }

  async function worker(store: Store, session: SessionId, until: () => boolean): Promise<void> {
    const request = { session, worker: session, model: MODEL, version: '1', maxRows: ROWS, capacityRows: ROWS };
    while (!until()) {
      const claimed = await tried(() => store.claim([{ ...request, leaseMs: LEASE_MS }]));
      const jobs = claimed?.[0]?.jobs ?? [];
      for (const job of jobs) {
        if (!Buffer.from(job.input.bytes).equals(contentOf(job.id, 0))) wrong(`${job.id} has another input`);
      }
      if (jobs.length > 0) await settle(store, jobs);
      else await pause();
    }
  }

  async function keeper(store: Store, sessions: readonly SessionId[]): Promise<void> {
    while (!isOver) {
      for (const session of sessions) await tried(() => store.heartbeat(session, LEASE_MS));
      await tried(() => store.sweep(1_000));
      await sleep(systemClock, 500);
    }
  }

  const loops = stores.flatMap((store, index) => {
    const sessions = [0, 1].map((n) => `session-${index}-${n}`);
    return [
      ...Array.from({ length: CALLERS }, () => caller(store)),
      ...sessions.map((session) => worker(store, session, () => isOver)),
      keeper(store, sessions),
    ];
  });

  return {
    decided: () => decided,
    refusals: () => refusals,
    more(jobs) {
      const at = decided + jobs;
      return new Promise((resolve) => watchers.push({ at, resolve }));
    },
    async finish() {
      isOver = true;
      await Promise.all(loops);
      const [store] = stores;
      if (store === undefined) return ['there is no store'];
      // What sessions hold whose answers were lost goes back by their leases.
      for (let rounds = 0; rounds < 200; rounds += 1) {
        const counts = (await store.counts()).get(MODEL);
        if ((counts?.waitingJobs ?? 0) + (counts?.processingJobs ?? 0) === 0) break;
        await store.sweep(1_000);
        for (let waiting = 1; waiting > 0;) {
          const [claimed] = await store.claim([
            {
              session: 'last',
              worker: 'last',
              model: MODEL,
              version: '1',
              maxRows: 64,
              capacityRows: 64,
              leaseMs: LEASE_MS,
            },
          ]);
          const jobs = claimed?.jobs ?? [];
          waiting = jobs.length;
          if (waiting > 0) await settle(store, jobs);
          const [alone] = await store.claim([
            {
              session: 'last',
              worker: 'last',
              model: MODEL,
              version: '1',
              maxRows: 1,
              capacityRows: 1,
              leaseMs: LEASE_MS,
              solo: true,
            },
          ]);
          if (alone?.jobs.length === 1) {
            await settle(store, alone.jobs);
            waiting += 1;
          }
        }
        await sleep(systemClock, 200);
      }
      for (const id of accepted) {
        const job = await store.get(id);
        if (job === null) wrong(`${id} was accepted and is lost`);
        else if (!TERMINAL.has(job.status)) wrong(`${id} is never decided: ${job.status}`);
        else if (job.status !== 'succeeded') wrong(`${id} ended ${job.status}: ${job.error?.message}`);
        else if (!Buffer.from(job.output?.bytes ?? []).equals(contentOf(id, job.attempt))) {
          wrong(`${id} has the output of another attempt`);
        } else if (appliedBy.has(id) && appliedBy.get(id) !== job.attempt) {
          wrong(`${id} was decided by attempt ${appliedBy.get(id)} and now by ${job.attempt}`);
        }
      }
      return violations;
    },
  };
}
