/**
 * Claims, and what becomes of one whose answer was lost: the session lives and would hold for ever what it never got. Such a claim is
 * in doubt; the next connection first makes void whatever the old one still has under way (a new epoch), and then
 * takes back what was claimed under that number. Owner of the epoch and of the claims in doubt.
 */
import { randomBytes } from 'node:crypto';
import { MAX_BACKOFF_MS } from '../../dispatch/backoff.ts';
import type { SessionId } from '../../dispatch/job.ts';
import type { ClaimRequest } from '../store.ts';
import type { Row, Run, Statement } from './connection.ts';
import { InDoubt, isStaleWriter } from './errors.ts';
import { LOCK_SPACE, type Times } from './options.ts';
import { toRows, type JobRecord } from './rows.ts';

/** A row of `claim_2`, with what it leaves out. */
const toClaimed = (row: Row, worker: string, session: SessionId, servedVersion: string): JobRecord => ({
  seq: row[3] as number,
  id: row[4] as string,
  model: row[5] as string,
  version: row[6] as string,
  content_type: row[7] as string,
  parameters: row[8] as string,
  rows: row[9] as number,
  priority: row[10] as number,
  caller: row[11] as string,
  deadline_at: row[12] as number | null,
  idempotency_key: row[13] as string | null,
  webhook: row[14] as string | null,
  status: 'processing',
  created_at: row[15] as number,
  started_at: row[16] as number,
  completed_at: null,
  attempt: row[17] as number,
  spent_attempts: row[18] as number,
  suspicion: row[19] as number,
  past_attempts: row[20] as string | null,
  not_before: null,
  worker,
  session,
  served_version: servedVersion,
  progress: null,
  cancel_requested: row[21] as boolean,
  error_code: null,
  error_message: null,
  timings: null,
});

/** One claim ends after this much input, so that its answer stays small; there is always the next one. */
const MAX_CLAIM_BYTES = 32 * 1024 * 1024;
/** Names of writers and claims: 52 random bits, which a JavaScript number holds. */
const randomName = (): number => Number(randomBytes(8).readBigUInt64BE() >> 12n);

export interface ClaimedRow {
  readonly row: JobRecord;
  readonly bytes: Uint8Array | null;
  readonly blob: string | null;
}

export interface ClaimReply {
  readonly rows: ClaimedRow[];
  leftRows: number;
  soloJobs: number;
}

export interface Doubt {
  readonly claims: readonly number[];
  readonly sessions: readonly SessionId[];
}

export type Claims = ReturnType<typeof createClaims>;

export function createClaims(times: Times, slot: number) {
  const writer = randomName();
  let epoch = 0;
  const doubts = new Map<number, readonly SessionId[]>();

  return {
    /** On every new connection. */
    async fence(run: Run): Promise<void> {
      const [rows] = await run([{ text: 'SELECT postern.fence_1($1, $2)', values: [writer, LOCK_SPACE] }]);
      epoch = rows![0]![0] as number;
    },
    /** When no connection will claim any more. */
    forgetWriter: (): Statement => ({ text: 'DELETE FROM postern.writer WHERE id = $1', values: [writer] }),
    statement(requests: readonly ClaimRequest[]): { readonly name: number; readonly statement: Statement } {
      const name = randomName();
      const rows = requests.map((one, n) => ({
        n,
        session: one.session,
        worker: one.worker,
        model: one.model,
        version: one.version,
        max_rows: one.maxRows,
        capacity_rows: one.capacityRows,
        lease_ms: Math.round(one.leaseMs),
        solo: one.solo ?? false,
        named_only: one.namedOnly ?? false,
      }));
      const text = 'SELECT * FROM postern.claim_2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)';
      const values = [
        toRows(rows),
        slot,
        times.now(),
        times.lease(),
        MAX_BACKOFF_MS,
        MAX_CLAIM_BYTES,
        writer,
        epoch,
        name,
        LOCK_SPACE,
      ];
      return { name, statement: { text, values } };
    },
    replies(answer: readonly Row[], requests: readonly ClaimRequest[]): ClaimReply[] {
      const replies = requests.map((): ClaimReply => ({ rows: [], leftRows: 0, soloJobs: 0 }));
      for (const row of answer) {
        const n = row[0] as number;
        const reply = replies[n]!;
        if (row[3] === null) {
          reply.leftRows = row[1] as number;
          reply.soloJobs = row[2] as number;
          continue;
        }
        const { worker, session, version } = requests[n]!;
        const [bytes, blob] = [row[22], row[23]] as [Uint8Array | null, string | null];
        reply.rows.push({ row: toClaimed(row, worker, session, version), bytes, blob });
      }
      return replies;
    },
    /** What the claim of this name met: may it have been done all the same? */
    failed(name: number, requests: readonly ClaimRequest[], error: unknown): void {
      if (!(error instanceof InDoubt)) return;
      doubts.set(name, [...new Set(requests.map(({ session }) => session))]);
    },
    isStale: isStaleWriter,
    /** What must be taken back before anything else is done; null: nothing. */
    doubt(): Doubt | null {
      if (doubts.size === 0) return null;
      return { claims: [...doubts.keys()], sessions: [...new Set([...doubts.values()].flat())] };
    },
    resolved({ claims }: Doubt): void {
      for (const name of claims) doubts.delete(name);
    },
  };
}
