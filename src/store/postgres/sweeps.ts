/**
 * What ends without its holder's word: leases that ran out, deadlines that passed, sessions that are gone, callers who take jobs back.
 * Every gateway sweeps; each step changes only what is still as it was looked at, so that several at once do no more than one.
 */
import type { Job, JobId, Loss, Outcome, SessionId } from '../../dispatch/job.ts';
import { MAX_BACKOFF_MS } from '../../dispatch/backoff.ts';
import { MAX_ENDED_DELIVERIES } from '../../dispatch/delivery.ts';
import { isLive } from '../../dispatch/states.ts';
import type { Logger } from '../../logger.ts';
import type { Reconciled, Swept } from '../store.ts';
import type { Connection, Row, Statement } from './connection.ts';
import {
  expire,
  LEASE_LOST,
  LOOK_COLUMNS,
  LOST_ON_THE_WAY,
  rule,
  sessionEnded,
  takeBack,
  toLooked,
  type Ends,
  type Looked,
} from './ends.ts';
import type { DiskLimits } from '../disk-limits.ts';
import type { Times } from './options.ts';
import type { Reads } from './reads.ts';
import { jobColumns, toJob, toRecord } from './rows.ts';
import type { Turns } from './turns.ts';

export interface SweepsOptions {
  readonly connection: Connection;
  readonly turns: Turns;
  readonly ends: Ends;
  readonly reads: Reads;
  readonly limits: DiskLimits;
  readonly times: Times;
  readonly slot: number;
  readonly logger: Logger;
}

/** Tags and sums without influence are thrown out once in so many sweeps: it reads whole tables. */
const SWEEPS_PER_TIDYING = 60;
/** A job changes under a step's hands now and then; more often than this it does not. */
const MAX_LOOKS = 8;

export function createSweeps({ connection, turns, ends, reads, limits, times, slot, logger }: SweepsOptions) {
  let sweeps = 0;

  const one = async (statement: Statement): Promise<Row[]> => (await connection.run([statement]))[0]!;
  const ruleAs = (looked: Looked, outcome: Outcome, alone = true) => rule(looked, outcome, alone, limits.maxAttempts);

  async function heldBy(session: SessionId): Promise<Looked[]> {
    const text = `SELECT ${LOOK_COLUMNS} FROM postern.job j WHERE j.session = $2 AND j.status = 'processing' ORDER BY j.seq`;
    return (await one({ text, values: [times.now(), session] })).map(toLooked);
  }

  /** Ends what `choose` gives, until it gives nothing more: a job may change between the look and the end. */
  async function endAll(choose: () => Promise<ReturnType<typeof rule>[]>, limit = Infinity): Promise<Job[]> {
    const ended: Job[] = [];
    for (let looks = 0; looks < MAX_LOOKS && ended.length < limit; looks += 1) {
      const rulings = await choose();
      if (rulings.length === 0) break;
      ended.push(...(await turns.apply(rulings)));
    }
    return ended;
  }

  // ---- sweep -----------------------------------------------------------------------------------------------------------

  async function reclaim(limit: number): Promise<Job[]> {
    const [pulse] = await one({ text: 'SELECT postern.pulse_1($1, $2)', values: [times.lease(), limits.leaseMs] });
    if (pulse?.[0] === true) logger.warn('leases begin anew: nobody could look after them for a while', {});
    const rows = await one({
      text: `SELECT held.count, ${LOOK_COLUMNS}
        FROM postern.session s
        JOIN LATERAL (SELECT count(*) AS count FROM postern.job h WHERE h.session = s.session AND h.status = 'processing') AS held ON true
        JOIN postern.job j ON j.session = s.session AND j.status = 'processing'
        WHERE s.lease_until <= postern.ms_1($2) LIMIT $3`,
      values: [times.now(), times.lease(), limit],
    });
    const rulings = rows.map(([held, ...row]) => ruleAs(toLooked(row), LEASE_LOST, held === 1));
    const reclaimed = await turns.apply(rulings, true);
    await one({
      text: `DELETE FROM postern.session s WHERE s.lease_until <= postern.ms_1($1)
        AND NOT EXISTS (SELECT 1 FROM postern.job j WHERE j.session = s.session AND j.status = 'processing')`,
      values: [times.lease()],
    });
    return reclaimed;
  }

  async function expireDue(limit: number): Promise<Job[]> {
    const rows = await one({
      text: `SELECT ${LOOK_COLUMNS} FROM postern.job j
        WHERE j.completed_at IS NULL AND j.due_at IS NOT NULL AND j.due_at <= postern.ms_1($1) ORDER BY j.due_at LIMIT $2`,
      values: [times.now(), limit],
    });
    return turns.apply(rows.map((row) => expire(toLooked(row))));
  }

  async function sweep(limit: number): Promise<Swept> {
    sweeps += 1;
    if (sweeps % SWEEPS_PER_TIDYING === 0) await one({ text: 'SELECT postern.tidy_1()', values: [] });
    await one({ text: 'SELECT postern.promote_1($1, $2, $3, $4)', values: [limit, slot, times.now(), MAX_BACKOFF_MS] });
    const reclaimed = await reclaim(limit);
    const expired = await expireDue(limit);
    await one({
      text: 'SELECT postern.forget_deliveries_1($1, $2, $3, $4)',
      values: [limit, slot, times.now(), MAX_ENDED_DELIVERIES],
    });
    const [forgotten] = await one({
      text: 'SELECT postern.forget_1($1, $2, $3, $4, $5)',
      values: [limit, slot, times.now(), limits.maxResults, limits.maxResultBytes],
    });
    return { claims: true, reclaimed, expired, forgotten: forgotten![0] as number };
  }

  // ---- sessions --------------------------------------------------------------------------------------------------------

  async function release(session: SessionId, loss: Loss): Promise<Job[]> {
    // Its lease is over now: should this be all that can be done, a sweep does the rest.
    await one({ text: 'UPDATE postern.session SET lease_until = 0 WHERE session = $1', values: [session] });
    let isAlone: boolean | null = null;
    return endAll(async () => {
      const held = await heldBy(session);
      isAlone ??= held.length === 1;
      const alone = isAlone;
      return held.map((looked) => ruleAs(looked, sessionEnded(loss), alone));
    });
  }

  async function reconcile(session: SessionId, held: readonly (readonly [JobId, number])[]): Promise<Reconciled> {
    const attempts = new Map(held);
    const isKept = ({ row }: Looked): boolean => attempts.get(row.id) === row.attempt;
    let kept: Looked[] = [];
    const lost = await endAll(async () => {
      const all = await heldBy(session);
      kept = all.filter(isKept);
      return all.filter((looked) => !isKept(looked)).map((looked) => ruleAs(looked, LOST_ON_THE_WAY));
    });
    return { kept: kept.map(({ row }) => toJob(row)), lost };
  }

  async function cancel(id: JobId): Promise<Job | null> {
    for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
      const [row] = await one(ends.look([id]));
      if (row === undefined) return null;
      const looked = toLooked(row);
      if (!isLive(looked.row.status)) return reads.get(id);
      if (looked.row.status === 'starting') {
        const [job] = await turns.apply([takeBack(looked)]);
        if (job !== undefined) return job;
        continue;
      }
      const [asked] = await one({
        text: `UPDATE postern.job j SET cancel_requested = true WHERE j.id = $1 AND j.status = 'processing' AND j.attempt = $2
          RETURNING ${jobColumns('j')}`,
        values: [id, looked.row.attempt],
      });
      if (asked !== undefined) return toJob(toRecord(asked));
    }
    return reads.get(id);
  }

  return {
    sweep: (limit: number) => turns.alone(() => sweep(limit)),
    release: (session: SessionId, loss: Loss) => turns.behindClaims(() => release(session, loss)),
    reconcile: (session: SessionId, held: readonly (readonly [JobId, number])[]) =>
      turns.behindClaims(() => reconcile(session, held)),
    cancel: (id: JobId) => turns.alone(() => cancel(id)),
  };
}
