/**
 * The steps that change jobs, on an open transaction. Owner of the rows of `job`, `input` and `output`. Every step reads what
 * it is about to change inside the same transaction, so nothing is counted first and acted upon later.
 *
 * A job is in exactly one place: waiting, running or decided. `enterQueue` and `startAttempt` and `decide` put it there, and
 * keep the sums of the ledger; no other statement changes `status`.
 */
import type { DatabaseSync } from 'node:sqlite';
import { isLive, move } from '../../dispatch/states.ts';
import { MAX_BACKOFF_MS } from '../../dispatch/backoff.ts';
import { verdict, type Verdict } from '../../dispatch/verdict.ts';
import type { Fence, JobError, JobStatus, Outcome, PastAttempt } from '../../dispatch/job.ts';
import { TOO_MANY_DELIVERIES } from '../deliveries.ts';
import type { ClaimRequest } from '../store.ts';
import type {
  ClaimReply,
  FencedReply,
  Moment,
  NewRow,
  Refusal,
  StoredOutcome,
  StoredPayload,
  SubmitReply,
} from './calls.ts';
import type { Ledger } from './ledger.ts';
import type { Leases } from './leases.ts';
import { refusalFor } from './limits.ts';
import type { Outbox } from './outbox.ts';
import type { WriterOptions } from './options.ts';
import { createClaims } from './claims.ts';
import { createFailedInputs } from './failed-inputs.ts';
import { JOB_COLUMNS, OUTPUT_PAYLOAD, patchRow, ROW_ATTEMPT, type JobRow } from './rows.ts';
import { DEFERRED } from './schema.ts';
import { bare, extraOf, fields, pastOf, placeOf, WRITER_COLUMNS } from './writer-rows.ts';

export interface Step extends Moment {
  /** The message's own payloads. */
  readonly bytes: Uint8Array;
}

export interface Decision {
  readonly status: JobStatus;
  readonly error: JobError | null;
  readonly timings: string | null;
  readonly output: { readonly contentType: string; readonly payload: StoredPayload } | null;
}

export type Writer = ReturnType<typeof createWriter>;

export interface WriterParts {
  readonly ledger: Ledger;
  readonly leases: Leases;
  readonly outbox: Outbox;
}

export function createWriter(db: DatabaseSync, { ledger, leases, outbox }: WriterParts, options: WriterOptions) {
  const prepare = (sql: string) => {
    const statement = db.prepare(sql);
    statement.setReturnArrays(true);
    return statement;
  };
  const findKey = prepare('SELECT digest, id FROM job WHERE caller = ? AND idempotency_key = ?');
  const hasId = prepare('SELECT 1 FROM job WHERE id = ?');
  const insertJob = prepare(
    `INSERT INTO job (seq, id, model, version, content_type, parameters, rows, priority, tag, caller, deadline_at,
       idempotency_key, digest, webhook, input_bytes, status, created_at, due_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'starting', ?, ?)`,
  );
  const insertInput = prepare('INSERT INTO input VALUES (?, ?, ?)');
  const insertOutput = prepare('INSERT INTO output VALUES (?, ?, ?, ?)');
  const deleteInput = prepare('DELETE FROM input WHERE seq = ?');
  const updateClaimed = prepare(
    `UPDATE job SET status = 'processing', started_at = ?, attempt = attempt + 1, worker = ?, session = ?, served_version = ?,
       progress = NULL, due_at = deadline_at WHERE seq = ? AND status = 'starting'`,
  );
  const updateRequeued = prepare(
    `UPDATE job SET status = 'starting', session = NULL, progress = NULL, spent_attempts = ?, suspicion = ?,
       past_attempts = ?, not_before = ?, due_at = ?
     WHERE seq = ? AND status = 'processing'`,
  );
  const updateDecided = prepare(
    `UPDATE job SET status = ?, completed_at = ?, error_code = ?, error_message = ?, timings = ?, output_bytes = ?, due_at = ?,
       not_before = NULL
     WHERE seq = ? AND completed_at IS NULL`,
  );
  const updateProgress = prepare('UPDATE job SET progress = ? WHERE seq = ?');
  const updateCancel = prepare('UPDATE job SET cancel_requested = 1 WHERE seq = ?');
  const updatePast = prepare('UPDATE job SET past_attempts = ? WHERE seq = ?');
  const updatePromoted = prepare('UPDATE job SET not_before = NULL WHERE seq = ?');
  const due = prepare(
    `SELECT ${WRITER_COLUMNS} FROM job WHERE ${DEFERRED} AND not_before <= ? ORDER BY not_before LIMIT ?`,
  );
  // Further away than any wait: the clock was put back.
  const farAway = prepare(`SELECT ${WRITER_COLUMNS} FROM job WHERE ${DEFERRED} AND not_before > ? LIMIT ?`);
  const choose = createClaims(db);
  const failedInputs = createFailedInputs(db, options.maxFailedInputBytes);
  const byId = prepare(`SELECT ${WRITER_COLUMNS} FROM job WHERE id = ?`);
  const withOutput = prepare(
    `SELECT ${JOB_COLUMNS}, ${OUTPUT_PAYLOAD} FROM job LEFT JOIN output ON output.seq = job.seq WHERE id = ?`,
  );

  // ---- the three places --------------------------------------------------------------------------------------------

  const waitEnd = (createdAt: number, deadlineAt: number | null): number =>
    Math.min(deadlineAt ?? Infinity, createdAt + options.waitTtlMs);

  function startAttempt(row: JobRow, { model, worker, session, version: served }: ClaimRequest, nowMs: number): void {
    const { seq, version, rows, attempt } = fields(row);
    ledger.wait({ model, version, rows }, placeOf(row), -1);
    ledger.run({ model, version, rows }, 1);
    updateClaimed.run(nowMs, worker, session, served, seq);
    patchRow(row, {
      status: move('starting', 'claim'),
      started_at: nowMs,
      attempt: attempt + 1,
      worker,
      session,
      served_version: served,
      progress: null,
    });
  }

  function requeue(row: JobRow, ruling: Extract<Verdict, { type: 'requeue' }>, nowMs: number): JobRow {
    const counted = fields(row);
    const { spentAttempts, suspicion, delayMs } = ruling;
    const notBefore = delayMs === 0 ? null : nowMs + delayMs;
    const past = JSON.stringify(ruling.past);
    const dueAt = waitEnd(counted.createdAt, counted.deadlineAt);
    updateRequeued.run(spentAttempts, suspicion, past, notBefore, dueAt, counted.seq);
    patchRow(row, {
      status: move('processing', 'requeue'),
      session: null,
      progress: null,
      suspicion,
      past_attempts: past,
      not_before: notBefore,
    });
    ledger.run(counted, -1);
    ledger.wait(counted, placeOf(row), 1);
    return row;
  }

  /** Puts the jobs whose time has come back in line. */
  function promote(limit: number, { nowMs }: Moment): void {
    const rows = due.all(nowMs, limit) as unknown as JobRow[];
    rows.push(...(farAway.all(nowMs + MAX_BACKOFF_MS, limit - rows.length) as unknown as JobRow[]));
    for (const row of rows) {
      const counted = fields(row);
      ledger.wait(counted, 'deferred', -1);
      updatePromoted.run(counted.seq);
      ledger.wait(counted, placeOf(patchRow(row, { not_before: null })), 1);
    }
  }

  function rememberPast(row: JobRow, past: readonly PastAttempt[]): void {
    if (past.length === 0) return;
    const text = JSON.stringify(past);
    updatePast.run(text, fields(row).seq);
    patchRow(row, { past_attempts: text });
  }

  /** Ends a live job, whichever place it is in. */
  function decide(row: JobRow, decision: Decision, { nowMs, bytes }: Step): JobRow {
    const counted = fields(row);
    if (counted.status === 'starting') ledger.wait(counted, placeOf(row), -1);
    else ledger.run(counted, -1);
    ledger.callers.add(counted.caller, -1);
    const { status, error, timings, output } = decision;
    const outputBytes = output?.payload.bytes ?? 0;
    const total = ledger.totalForUpdate();
    const { inputBytes } = extraOf(row);
    total.inputBytes -= inputBytes;
    total.decidedJobs += 1;
    total.outputBytes += outputBytes;
    const { resultTtlMs, idempotencyTtlMs } = options;
    const keptMs = counted.idempotencyKey === null ? resultTtlMs : Math.max(resultTtlMs, idempotencyTtlMs);
    const [code, message] = error === null ? [null, null] : [error.code, error.message];
    updateDecided.run(status, nowMs, code, message, timings, outputBytes, nowMs + keptMs, counted.seq);
    // Nobody needs the input any more, unless the job is tried again; and it is the largest part.
    const ended = { status, cancelRequested: counted.cancelRequested, bytes: inputBytes };
    if (!failedInputs.keep(counted.seq, ended)) deleteInput.run(counted.seq);
    if (output) insertOutput.run(counted.seq, output.contentType, ...place(output.payload, bytes));
    const changes = { status, completed_at: nowMs, error_code: code, error_message: message, timings };
    patchRow(row, { ...changes, not_before: null });
    outbox.record(row, 'completed', output, bytes, nowMs);
    return row;
  }

  // ---- the steps ---------------------------------------------------------------------------------------------------

  function submit(job: NewRow, { nowMs, bytes }: Step): SubmitReply {
    if (job.idempotencyKey !== null) {
      const earlier = findKey.get(job.caller, job.idempotencyKey) as unknown as [string, string] | undefined;
      if (earlier?.[0] === job.digest) return { type: 'existing', row: rowWithOutput(earlier[1]) };
      if (earlier) return refused('idempotency_mismatch', 'the key came before with another body: use a new key');
    }
    const room = {
      callerJobs: job.maxUndecidedJobs === null ? 0 : ledger.callers.of(job.caller),
      waitingJobs: ledger.waitingJobs(job.model),
      inputBytes: ledger.total().inputBytes,
    };
    const refusal = refusalFor({ ...job, bytes: job.input.bytes }, room, options);
    if (refusal) return refusal;
    if (job.webhook !== null && outbox.isFull()) return refused('overloaded', TOO_MANY_DELIVERIES);
    if (hasId.get(job.id)) return refused('internal', `the job id ${job.id} was used before`);
    const { model, version, rows, priority, caller, deadlineAt } = job;
    const total = ledger.totalForUpdate();
    const seq = total.nextSeq++;
    total.inputBytes += job.input.bytes;
    const tag = ledger.tag(model, priority, caller, rows);
    ledger.wait({ model, version, rows }, 'line', 1);
    ledger.callers.add(caller, 1);
    insertJob.run(
      seq,
      job.id,
      model,
      version,
      job.contentType,
      job.parameters,
      rows,
      priority,
      tag,
      caller,
      deadlineAt,
      job.idempotencyKey,
      job.digest,
      job.webhook,
      job.input.bytes,
      nowMs,
      waitEnd(nowMs, deadlineAt),
    );
    insertInput.run(seq, ...place(job.input, bytes));
    return { type: 'accepted', createdAt: nowMs };
  }

  function claim(request: ClaimRequest, step: Step): ClaimReply {
    const { model, version, session, namedOnly = false } = request;
    const taken = choose(request);
    for (const row of taken) {
      ledger.serve(model, fields(row).priority, extraOf(row).tag);
      startAttempt(row, request, step.nowMs);
      if (row[ROW_ATTEMPT] === 1) outbox.record(row, 'start', null, step.bytes, step.nowMs);
      bare(row);
    }
    if (taken.length > 0) leases.extend(session, step.monotonicMs + request.leaseMs);
    return {
      rows: taken,
      leftRows: ledger.waitingRows(model, version, namedOnly),
      soloJobs: ledger.soloJobs(model, version, namedOnly),
    };
  }

  /** The row, when the fence may write to it; otherwise why not. */
  function fenced(fence: Fence): JobRow | Exclude<FencedReply, { type: 'applied' }> {
    const row = find(fence.job);
    if (!row) return { type: 'unknown' };
    const { status, attempt, session } = fields(row);
    if (!isLive(status)) return { type: 'settled', row: rowWithOutput(fence.job) };
    const owns = status === 'processing' && attempt === fence.attempt && session === fence.session;
    return owns ? row : { type: 'stale' };
  }

  /** `alone`: the session held nothing else. */
  function end(row: JobRow, outcome: StoredOutcome, step: Step, alone = true): JobRow {
    const { id: job, attempt, worker, cancelRequested, suspicion } = fields(row);
    const { spentAttempts } = extraOf(row);
    const { nowMs } = step;
    const ruling = verdict(
      { job, attempt, spentAttempts, suspicion, alone, cancelRequested, worker, past: pastOf(row), nowMs },
      outcome as Outcome,
      options.maxAttempts,
    );
    switch (ruling.type) {
      case 'succeed': {
        const { contentType, output, timings } = outcome as Extract<StoredOutcome, { type: 'succeeded' }>;
        const payload = { contentType, payload: output };
        return decide(row, { status: move('processing', 'succeed'), error: null, timings, output: payload }, step);
      }
      case 'fail':
        rememberPast(row, ruling.past);
        return decide(row, undelivered(move('processing', 'fail'), ruling.error), step);
      case 'cancel':
        return decide(row, undelivered(move('processing', 'cancel'), null), step);
      case 'requeue':
        return requeue(row, ruling, nowMs);
    }
  }

  function settle(fence: Fence, outcome: StoredOutcome, step: Step): FencedReply {
    const row = fenced(fence);
    return 'type' in row ? row : { type: 'applied', row: bare(end(row, outcome, step)) };
  }

  function progress(fence: Fence, value: string): FencedReply {
    const row = fenced(fence);
    if ('type' in row) return row;
    updateProgress.run(value, fields(row).seq);
    return { type: 'applied', row: bare(patchRow(row, { progress: value })) };
  }

  function cancel(id: string, step: Step): JobRow | null {
    const row = find(id);
    if (!row) return null;
    const { status, seq, cancelRequested } = fields(row);
    if (!isLive(status)) return rowWithOutput(id);
    if (status === 'starting') return bare(decide(row, undelivered(move('starting', 'cancel'), null), step));
    if (!cancelRequested) updateCancel.run(seq);
    return bare(patchRow(row, { cancel_requested: 1 }));
  }

  const find = (id: string): JobRow | null => (byId.get(id) as unknown as JobRow | undefined) ?? null;
  const rowWithOutput = (id: string): JobRow => withOutput.get(id) as unknown as JobRow;

  return {
    submit,
    claim,
    settle,
    progress,
    cancel,
    end,
    decide,
    promote,
    dropFailedInput: (id: string) => failedInputs.drop(id),
  };
}

/** The bytes and blob columns of a payload. */
function place(payload: StoredPayload, bytes: Uint8Array): [bytes: Uint8Array | null, blob: string | null] {
  if (payload.type === 'blob') return [null, payload.key];
  return [bytes.subarray(payload.at, payload.at + payload.bytes), null];
}

export function undelivered(status: JobStatus, error: JobError | null): Decision {
  return { status, error, timings: null, output: null };
}

function refused(code: Refusal['code'], message: string): Refusal {
  return { type: 'refused', code, message };
}
