/**
 * Ends of attempts and of jobs: the rule (`verdict.ts`) is applied here, and `end_1` writes what it said, where the job is still as it
 * was when it was ruled upon. A success needs no look at the job before, and has a statement of its own; everything else is looked at first.
 */
import { LEASE_LOST, LOST_ON_THE_WAY, RAN_TOO_LONG, WAITED_TOO_LONG, sessionEnded } from '../../dispatch/endings.ts';
import { MAX_DELIVERY_OUTPUT_BYTES } from '../../dispatch/delivery.ts';
import type { Fence, Job, JobError, Outcome, PastAttempt } from '../../dispatch/job.ts';
import { isLive, move } from '../../dispatch/states.ts';
import { verdict } from '../../dispatch/verdict.ts';
import { NO_ATTEMPTS } from '../../dispatch/accepted.ts';
import type { FencedOutcome } from '../store.ts';
import type { Row, Statement } from './connection.ts';
import type { DiskLimits } from '../disk-limits.ts';
import type { Times } from './options.ts';
import { jobColumns, toJob, toRecord, toRows, type JobRecord } from './rows.ts';
import type { Ruling } from './ruling.ts';
import { createSuccesses, type Success } from './successes.ts';

export { LEASE_LOST, LOST_ON_THE_WAY, sessionEnded };

/** An output that is in a blob already, or not. */
export interface EndItem {
  readonly fence: Fence;
  readonly outcome: Outcome;
  readonly blob: string | null;
}

/** Columns of a job, and the database's time before them. */
export const LOOK_COLUMNS = `postern.ms_1($1), ${jobColumns('j')}`;

export interface Looked {
  readonly nowMs: number;
  readonly row: JobRecord;
}

export const toLooked = (row: Row): Looked => ({ nowMs: row[0] as number, row: toRecord(row, 1) });

/** Of a success: whatever the job looks like, as long as the fence holds. */
export function succeed({ fence, outcome, blob }: EndItem): Ruling | null {
  if (outcome.type !== 'succeeded') return null;
  const { contentType, bytes } = outcome.output;
  return {
    id: fence.job,
    from_status: 'processing',
    attempt: fence.attempt,
    session: fence.session,
    cancel: null,
    status: move('processing', 'succeed'),
    timings: JSON.stringify(outcome.timings),
    output: { contentType, bytes, blob },
  };
}

const owns = (row: JobRecord, { attempt, session }: Fence): boolean =>
  row.status === 'processing' && row.attempt === attempt && row.session === session;

/** Of any end of an attempt that runs. `alone`: its session held nothing else. */
export function rule({ nowMs, row }: Looked, outcome: Outcome, alone: boolean, maxAttempts: number): Ruling {
  const { id: job, attempt, session, spent_attempts: spentAttempts, suspicion, cancel_requested: cancel } = row;
  const past = row.past_attempts === null ? NO_ATTEMPTS : (JSON.parse(row.past_attempts) as PastAttempt[]);
  const worker = row.worker ?? '';
  const ruling = verdict(
    { job, attempt, spentAttempts, suspicion, alone, cancelRequested: cancel, worker, past, nowMs },
    outcome,
    maxAttempts,
  );
  const from = { id: job, from_status: 'processing', attempt, session, cancel } as const;
  switch (ruling.type) {
    case 'succeed':
      throw new Error('a success is not ruled upon');
    case 'cancel':
      return { ...from, status: move('processing', 'cancel') };
    case 'fail':
      return { ...from, status: move('processing', 'fail'), ...errorOf(ruling.error), ...pastOf(ruling.past) };
    case 'requeue':
      return {
        ...from,
        status: move('processing', 'requeue'),
        spent: ruling.spentAttempts,
        suspicion: ruling.suspicion,
        delay_ms: ruling.delayMs,
        past: JSON.stringify(ruling.past),
      };
  }
}

/** Its deadline, or the time that it may wait, is over. */
export function expire({ row }: Looked): Ruling {
  const from = { id: row.id, attempt: row.attempt, session: row.session, cancel: null };
  return row.status === 'processing'
    ? { ...from, from_status: 'processing', status: move('processing', 'expire'), ...errorOf(RAN_TOO_LONG) }
    : { ...from, from_status: 'starting', status: move('starting', 'expire'), ...errorOf(WAITED_TOO_LONG) };
}

/** Its caller takes back a job that waits. */
export const takeBack = ({ row }: Looked): Ruling => ({
  id: row.id,
  from_status: 'starting',
  attempt: row.attempt,
  session: null,
  cancel: null,
  status: move('starting', 'cancel'),
});

const errorOf = ({ code, message }: JobError) => ({ code, message });
const pastOf = (past: readonly PastAttempt[]) => (past.length === 0 ? {} : { past: JSON.stringify(past) });

/** Rulings on their way into the database. */
export interface Ending {
  readonly statements: readonly Statement[];
  /** The jobs that were changed, at their rulings' places. `answers`: of the statements. */
  changed(answers: readonly (readonly Row[])[]): (Job | null)[];
}

/** `n`: its place in the batch. */
interface Placed {
  readonly n: number;
  readonly ruling: Ruling;
}

const NO_BYTES = Buffer.alloc(0);

export type Ends = ReturnType<typeof createEnds>;

export function createEnds(limits: DiskLimits, times: Times, slot: number) {
  const keyedTtlMs = Math.max(limits.resultTtlMs, limits.idempotencyTtlMs);
  const successes = createSuccesses(limits, times, slot);

  function statement(rulings: readonly Placed[], reclaim: boolean): Statement {
    return {
      text: `SELECT e.n, ${jobColumns('(e.job)')} FROM postern.end_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS e`,
      values: [
        toRows(rulings.map(({ n, ruling }) => ({ n, ...ruling }))),
        NO_BYTES,
        slot,
        times.now(),
        times.lease(),
        reclaim,
        limits.waitTtlMs,
        limits.resultTtlMs,
        keyedTtlMs,
        limits.maxFailedInputBytes,
        MAX_DELIVERY_OUTPUT_BYTES,
        limits.maxDeliveryBytes,
      ],
    };
  }

  return {
    /** What writes the rulings, each of another job. `reclaim`: only where the session's lease is over. */
    write(rulings: readonly Ruling[], reclaim = false): Ending {
      const succeeded: Success[] = [];
      const others: Placed[] = [];
      for (const [n, ruling] of rulings.entries()) {
        const { output } = ruling;
        if (output === undefined) others.push({ n, ruling });
        else succeeded.push({ n, ruling: { ...ruling, output } });
      }
      const statements = [
        ...(succeeded.length === 0 ? [] : [successes.statement(succeeded)]),
        ...(others.length === 0 ? [] : [statement(others, reclaim)]),
      ];
      return {
        statements,
        changed(answers) {
          const jobs: (Job | null)[] = rulings.map(() => null);
          const [first = [], second = []] = answers;
          const [ofSuccesses, ofOthers] = succeeded.length === 0 ? [[], first] : [first, second];
          for (const row of ofSuccesses) {
            const n = row[0] as number;
            jobs[n] = successes.job(row, rulings[n]!);
          }
          for (const row of ofOthers) jobs[row[0] as number] = toJob(toRecord(row, 1));
          return jobs;
        },
      };
    },
    /** Jobs by their names, with the database's time. */
    look(ids: readonly string[]): Statement {
      return { text: `SELECT ${LOOK_COLUMNS} FROM postern.job j WHERE j.id = ANY ($2)`, values: [times.now(), ids] };
    },
    /** What the fence of an end meets, as far as one look tells. `ruling`: it may be written. */
    judge(looked: Looked | undefined, { fence, outcome }: EndItem): Ruling | FencedOutcome['type'] {
      if (looked === undefined) return 'unknown';
      if (!isLive(looked.row.status)) return 'settled';
      return owns(looked.row, fence) ? rule(looked, outcome, true, limits.maxAttempts) : 'stale';
    },
  };
}
