/**
 * The outbox of webhooks, on an open transaction. Owner of the rows of `delivery`. A row holds all that is to be sent (the job's
 * row as it stood, and its output), so that the job may be forgotten before its receiver answers.
 */
import type { DatabaseSync } from 'node:sqlite';
import {
  DELIVERED_TTL_MS,
  deliveryId,
  FAILED_TTL_MS,
  hostOf,
  MAX_DELIVERY_OUTPUT_BYTES,
  MAX_ENDED_DELIVERIES,
  type DeliveryEnd,
  type DeliveryId,
} from '../../dispatch/delivery.ts';
import type { Webhook, WebhookEvent } from '../../dispatch/webhook.ts';
import type { DeliveryClaimCall, DeliveryReply, DeliveryRow, Moment, StoredPayload } from './calls.ts';
import type { ViewRow } from '../delivery-view.ts';
import type { DiskLimits } from '../disk-limits.ts';
import { ROW_CALLER, ROW_ID, snapshotOf, webhookText, type JobRow } from './rows.ts';

/** What decides that a delivery carries an output: its type, and where it lies. */
export interface RecordedOutput {
  readonly contentType: string;
  readonly payload: StoredPayload;
}

/** As in `memory-outbox.ts`. */
const MAX_VISITED_HOSTS = 256;

export const VIEW_COLUMNS =
  'seq, id, job, caller, event, url, status, attempt, created_at, due_at, ended_at, answer, reason';

export type Outbox = ReturnType<typeof createOutbox>;

export function createOutbox(db: DatabaseSync, limits: Pick<DiskLimits, 'maxDeliveries' | 'maxDeliveryBytes'>) {
  const prepare = (sql: string) => {
    const statement = db.prepare(sql);
    statement.setReturnArrays(true);
    return statement;
  };
  const total = prepare('SELECT pending, bytes, ended FROM delivery_total');
  const insert = prepare(
    `INSERT OR IGNORE INTO delivery (id, job, caller, event, url, host, created_at, due_at, snapshot, output_type, output_bytes, output, output_blob)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const nextHost = prepare("SELECT host FROM delivery WHERE status = 'pending' AND host > ? ORDER BY host LIMIT 1");
  const due = prepare(
    `SELECT id, event, snapshot, output_type, output, output_blob, created_at, attempt FROM delivery
     WHERE status = 'pending' AND host = ? AND due_at <= ? ORDER BY due_at, seq LIMIT ?`,
  );
  const lease = prepare('UPDATE delivery SET attempt = attempt + 1, due_at = ? WHERE id = ?');
  const retryLater = prepare(
    "UPDATE delivery SET due_at = ?, answer = ?, reason = ? WHERE id = ? AND attempt = ? AND status = 'pending'",
  );
  const endDelivered = prepare(
    `UPDATE delivery SET status = 'delivered', due_at = ?, ended_at = ?, answer = ?, reason = NULL,
       snapshot = NULL, output = NULL, output_blob = NULL, output_bytes = 0
     WHERE id = ? AND attempt = ? AND status = 'pending'`,
  );
  const endFailed = prepare(
    `UPDATE delivery SET status = 'failed', due_at = ?, ended_at = ?, answer = ?, reason = ?
     WHERE id = ? AND attempt = ? AND status = 'pending'`,
  );
  const again = prepare(
    `UPDATE delivery SET status = 'pending', attempt = 0, due_at = ?, ended_at = NULL, answer = NULL, reason = NULL
     WHERE id = ? AND status = 'failed' RETURNING ${VIEW_COLUMNS}`,
  );
  const oldestEnded = prepare(
    "SELECT seq, due_at FROM delivery WHERE status <> 'pending' ORDER BY due_at, seq LIMIT ?",
  );
  const forget = prepare('DELETE FROM delivery WHERE seq = ?');
  let lastHost = '';

  const totals = (): [pending: number, bytes: number, ended: number] =>
    total.get() as unknown as [number, number, number];

  function endOne({ id, attempt, outcome }: DeliveryEnd, nowMs: number): boolean {
    const { answer } = outcome;
    switch (outcome.type) {
      case 'delivered':
        return endDelivered.run(nowMs + DELIVERED_TTL_MS, nowMs, answer, id, attempt).changes === 1;
      case 'failed':
        return endFailed.run(nowMs + FAILED_TTL_MS, nowMs, answer, outcome.reason, id, attempt).changes === 1;
      case 'retry':
        return retryLater.run(outcome.dueAt, answer, outcome.reason, id, attempt).changes === 1;
    }
  }

  /** The next host in turn with something pending; null: there is none, or it was visited. */
  function turnTo(visited: ReadonlySet<string>): string | null {
    const row = nextHost.get(lastHost) ?? nextHost.get('');
    const host = (row as unknown as [string] | undefined)?.[0];
    return host === undefined || visited.has(host) ? null : host;
  }

  return {
    /** Is there no room for what one more job may bring? */
    isFull: (): boolean => totals()[0] >= limits.maxDeliveries,
    /** `row`: the job as it stands after the event. Nothing is recorded that its caller did not ask for. */
    record(row: JobRow, event: WebhookEvent, output: RecordedOutput | null, message: Uint8Array, nowMs: number): void {
      const text = webhookText(row);
      if (text === null) return;
      const { url, events } = JSON.parse(text) as Webhook;
      if (!events.includes(event)) return;
      const id = deliveryId(row[ROW_ID] as string, event);
      const bytes = output?.payload.bytes ?? 0;
      const isLeftOut = bytes > MAX_DELIVERY_OUTPUT_BYTES || totals()[1] + bytes > limits.maxDeliveryBytes;
      const payload = isLeftOut ? null : (output?.payload ?? null);
      const inline = payload?.type === 'inline' ? message.subarray(payload.at, payload.at + payload.bytes) : null;
      insert.run(
        id,
        row[ROW_ID]!,
        row[ROW_CALLER]!,
        event,
        url,
        hostOf(url),
        nowMs,
        nowMs,
        snapshotOf(row),
        output?.contentType ?? null,
        payload?.bytes ?? 0,
        inline,
        payload?.type === 'blob' ? payload.key : null,
      );
    },
    claim({ limit, perHost, inFlight, leaseMs }: DeliveryClaimCall, { nowMs }: Moment): DeliveryReply[] {
      const underWay = new Map(inFlight);
      const visited = new Set<string>();
      const taken: DeliveryReply[] = [];
      while (taken.length < limit && visited.size < MAX_VISITED_HOSTS) {
        const host = turnTo(visited);
        if (host === null) break;
        lastHost = host;
        visited.add(host);
        const room = Math.min(perHost - (underWay.get(host) ?? 0), limit - taken.length);
        if (room <= 0) continue;
        for (const row of due.all(host, nowMs, room) as unknown as DeliveryRow[]) {
          lease.run(nowMs + leaseMs, row[0]);
          taken.push({ host, row });
        }
      }
      return taken;
    },
    end: (ends: readonly DeliveryEnd[], { nowMs }: Moment): boolean[] => ends.map((one) => endOne(one, nowMs)),
    retry: (id: DeliveryId, { nowMs }: Moment): ViewRow | null =>
      (again.get(nowMs, id) as unknown as ViewRow | undefined) ?? null,
    sweep(limit: number, { nowMs }: Moment): void {
      let [, , ended] = totals();
      for (const [seq, dueAt] of oldestEnded.all(limit) as unknown as [number, number][]) {
        if (dueAt > nowMs && ended <= MAX_ENDED_DELIVERIES) return;
        forget.run(seq);
        ended -= 1;
      }
    },
  };
}
