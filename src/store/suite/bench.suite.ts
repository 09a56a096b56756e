/** What the suite's parts share: a store of its own for every test, a clock that the test moves, and short words for jobs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManualClock, type ManualClock } from '../../../test/support/manual-clock.ts';
import type { Clock } from '../../clock.ts';
import { MAX_BACKOFF_MS } from '../../dispatch/backoff.ts';
import type { Fence, Job, Loss, NewJob, Outcome } from '../../dispatch/job.ts';
import type { ClaimRequest, FencedOutcome, Store, SubmitOutcome } from '../store.ts';

/** What the suite sets; a driver takes all of them. */
export interface StoreSuiteOptions {
  readonly clock: Clock;
  readonly queueLimitJobs?: number;
  readonly maxAttempts?: number;
  readonly waitTtlMs?: number;
  readonly resultTtlMs?: number;
  readonly idempotencyTtlMs?: number;
  readonly maxResults?: number;
  readonly maxInputBytes?: number;
  readonly maxFailedInputBytes?: number;
  readonly modelTtlMs?: number;
  readonly maxDeliveries?: number;
  readonly maxDeliveryBytes?: number;
}

/** A started store over nothing; the suite stops it. */
export type CreateSuiteStore = (options: StoreSuiteOptions) => Promise<Store>;

export const START = 1_750_000_000_000;
export const LEASE_MS = 18_000;
export const HOUR_MS = 3_600_000;

export interface Bench {
  readonly store: Store;
  readonly clock: ManualClock;
  readonly job: (over?: Partial<NewJob>) => NewJob;
  /** Submits, and expects that it is accepted. */
  readonly accept: (over?: Partial<NewJob>) => Promise<Job>;
  readonly claim: (over?: Partial<ClaimRequest>) => Promise<Job[]>;
  /** Submits and claims one job. */
  readonly run: (over?: Partial<NewJob>, session?: string) => Promise<Job>;
  /** Claims what comes back for another attempt: after the longest wait, and alone if it must be. */
  readonly again: (over?: Partial<ClaimRequest>) => Promise<Job>;
  readonly end: (job: Job, outcome: Outcome) => Promise<FencedOutcome>;
  readonly get: (job: Pick<Job, 'id'>) => Promise<Job>;
}

export const fenceOf = (job: Job): Fence => ({ job: job.id, attempt: job.attempt, session: job.session ?? 'none' });
export const TIMINGS = { queueMs: 1, linkMs: 2, workerQueueMs: 3, decodeMs: 4, batchMs: 5, computeMs: 6 };
export const succeeded = (text: string): Outcome => ({
  type: 'succeeded',
  output: { contentType: 'text/plain', bytes: Buffer.from(text) },
  timings: TIMINGS,
});
export const failed = (retryable: boolean): Outcome => ({
  type: 'failed',
  error: { code: 'model_failed', message: 'it broke' },
  retryable,
});
export const interrupted = (loss: Loss): Outcome => ({
  type: 'interrupted',
  error: { code: 'worker_lost', message: 'gone' },
  loss,
});
export const canceled: Outcome = { type: 'canceled' };

export function applied(outcome: FencedOutcome | undefined): Job {
  assert.equal(outcome?.type, 'applied');
  return outcome.job;
}

export function refusal(outcome: SubmitOutcome | undefined): string {
  assert.equal(outcome?.type, 'refused');
  return outcome.error.code;
}

/** A test with a store of its own. */
export type Check = (
  title: string,
  body: (bench: Bench) => Promise<void>,
  options?: Partial<StoreSuiteOptions>,
) => void;

export function createCheck(create: CreateSuiteStore): Check {
  return function check(
    title: string,
    body: (bench: Bench) => Promise<void>,
    options: Partial<StoreSuiteOptions> = {},
  ): void {
    test(title, async () => {
      const clock = createManualClock(START);
      const store = await create({ clock, ...options });
      let made = 0;
      const bench: Bench = {
        store,
        clock,
        job(over = {}) {
          made += 1;
          return {
            id: `0000-${String(made).padStart(6, '0')}`,
            model: 'plants',
            version: null,
            input: { contentType: 'text/plain', bytes: Buffer.from('rose') },
            parameters: {},
            rows: 1,
            priority: 0,
            caller: 'anna',
            deadlineAt: null,
            idempotencyKey: null,
            webhook: null,
            ...over,
          };
        },
        async accept(over) {
          const [outcome] = await store.submit([bench.job(over)]);
          assert.equal(outcome?.type, 'accepted');
          return outcome.job;
        },
        async claim(over = {}) {
          const request = {
            session: 's1',
            worker: 'gpu-1',
            model: 'plants',
            version: '1',
            maxRows: 1,
            leaseMs: LEASE_MS,
          };
          const [claimed] = await store.claim([{ ...request, capacityRows: over.maxRows ?? 1, ...over }]);
          return claimed?.jobs ?? [];
        },
        async run(over, session = 's1') {
          const { id } = await bench.accept(over);
          const [job] = await bench.claim({ session, maxRows: over?.rows ?? 1 });
          assert.equal(job?.id, id);
          return job;
        },
        async again(over = {}) {
          clock.advance(MAX_BACKOFF_MS);
          const [job] = [...(await bench.claim(over)), ...(await bench.claim({ ...over, solo: true }))];
          assert.ok(job, 'nothing comes back');
          return job;
        },
        async end(job, outcome) {
          const [result] = await store.settle([{ fence: fenceOf(job), outcome }]);
          assert.ok(result);
          return result;
        },
        async get({ id }) {
          const job = await store.get(id);
          assert.ok(job);
          return job;
        },
      };
      try {
        await body(bench);
      } finally {
        await store.stop();
      }
    });
  };
}
