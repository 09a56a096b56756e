/** Ends what time has ended, in bounded steps: leases that ran out, deadlines that passed, results past their time. */
import type { DatabaseSync } from 'node:sqlite';
import { LEASE_LOST, LOST_ON_THE_WAY, RAN_TOO_LONG, WAITED_TOO_LONG } from '../../dispatch/endings.ts';
import { move } from '../../dispatch/states.ts';
import type { JobId, SessionId } from '../../dispatch/job.ts';
import type { ReconcileReply, StoredOutcome, SweepReply } from './calls.ts';
import type { Ledger } from './ledger.ts';
import type { Leases } from './leases.ts';
import type { WriterOptions } from './options.ts';
import { ROW_ATTEMPT, ROW_ID, ROW_STATUS, type JobRow } from './rows.ts';
import { bare, WRITER_COLUMNS } from './writer-rows.ts';
import { undelivered, type Step, type Writer } from './writer.ts';

/** Callers' tags without influence are thrown out once in so many sweeps: it reads the whole table. */
const SWEEPS_PER_TAG_SWEEP = 60;

export function createSweeps(db: DatabaseSync, ledger: Ledger, leases: Leases, writer: Writer, options: WriterOptions) {
  const prepare = (sql: string) => {
    const statement = db.prepare(sql);
    statement.setReturnArrays(true);
    return statement;
  };
  const held = prepare(`SELECT ${WRITER_COLUMNS} FROM job WHERE session = ? AND status = 'processing' LIMIT ?`);
  const canceled = prepare("SELECT id FROM job WHERE session = ? AND cancel_requested = 1 AND status = 'processing'");
  const expiring = prepare(
    `SELECT ${WRITER_COLUMNS} FROM job WHERE completed_at IS NULL AND due_at IS NOT NULL AND due_at <= ?
     ORDER BY due_at LIMIT ?`,
  );
  const oldest = prepare(
    'SELECT seq, due_at, output_bytes FROM job WHERE completed_at IS NOT NULL ORDER BY due_at LIMIT ?',
  );
  const forget = prepare('DELETE FROM job WHERE seq = ?');
  const dropTags = prepare(
    `DELETE FROM next_tag WHERE tag <= (SELECT tag FROM served_tag AS served
       WHERE served.model = next_tag.model AND served.priority = next_tag.priority)`,
  );
  let sweeps = 0;

  const heldBy = (session: SessionId, limit: number): JobRow[] => held.all(session, limit) as unknown as JobRow[];

  function reclaim(limit: number, step: Step): JobRow[] {
    leases.readBeats(step.monotonicMs);
    const reclaimed: JobRow[] = [];
    for (const session of leases.ended(step.monotonicMs)) {
      const left = limit - reclaimed.length;
      if (left === 0) break;
      const isAlone = heldBy(session, 2).length === 1;
      const rows = heldBy(session, left);
      for (const row of rows) reclaimed.push(bare(writer.end(row, LEASE_LOST, step, isAlone)));
      if (rows.length === 0) leases.forget(session);
    }
    return reclaimed;
  }

  function expire(limit: number, step: Step): JobRow[] {
    const rows = expiring.all(step.nowMs, limit) as unknown as JobRow[];
    return rows.map((row) => {
      const runs = row[ROW_STATUS] === 'processing';
      const decision = runs
        ? undelivered(move('processing', 'expire'), RAN_TOO_LONG)
        : undelivered(move('starting', 'expire'), WAITED_TOO_LONG);
      return bare(writer.decide(row, decision, step));
    });
  }

  /** By age, then by number and bytes: the oldest first. */
  function forgetOldest(limit: number, { nowMs }: Step): number {
    let forgotten = 0;
    for (const [seq, dueAt, outputBytes] of oldest.all(limit) as unknown as [number, number, number][]) {
      const { decidedJobs, outputBytes: keptBytes } = ledger.total();
      const isOver = decidedJobs > options.maxResults || keptBytes > options.maxResultBytes;
      if (dueAt > nowMs && !isOver) break;
      forget.run(seq);
      // Only now: an idle store must not write once a second.
      const total = ledger.totalForUpdate();
      total.decidedJobs -= 1;
      total.outputBytes -= outputBytes;
      forgotten += 1;
    }
    return forgotten;
  }

  return {
    sweep(limit: number, step: Step): SweepReply {
      sweeps += 1;
      if (sweeps % SWEEPS_PER_TAG_SWEEP === 0) dropTags.run();
      writer.promote(limit, step);
      return {
        hasRole: true,
        reclaimed: reclaim(limit, step),
        expired: expire(limit, step),
        forgotten: forgetOldest(limit, step),
      };
    },
    /** Ends every attempt of a session that is gone. */
    release(session: SessionId, outcome: StoredOutcome, step: Step): JobRow[] {
      leases.end(session);
      const rows = heldBy(session, -1);
      return rows.map((row) => bare(writer.end(row, outcome, step, rows.length === 1)));
    },
    /** Splits what a session holds into what its worker holds too, and what got lost on the way. */
    reconcile(session: SessionId, held: readonly (readonly [JobId, number])[], step: Step): ReconcileReply {
      const attempts = new Map(held);
      const reply: ReconcileReply = { kept: [], lost: [] };
      for (const row of heldBy(session, -1)) {
        if (attempts.get(row[ROW_ID] as JobId) === row[ROW_ATTEMPT]) reply.kept.push(bare(row));
        else reply.lost.push(bare(writer.end(row, LOST_ON_THE_WAY, step)));
      }
      return reply;
    },
    cancelsOf: (session: SessionId): string[] => (canceled.all(session) as unknown as [string][]).map(([id]) => id),
  };
}
