/** What is only read, on a connection of its own: it sees what is committed, and never makes the writer wait. */
import type { DatabaseSync } from 'node:sqlite';
import type { ModelCounts } from '../store.ts';
import type { ListCall, ListReply, ReaderCalls } from './calls.ts';
import type { ViewRow } from '../delivery-view.ts';
import { readKnownModels } from './known-models.ts';
import { refusalFor } from './limits.ts';
import type { DiskLimits } from '../disk-limits.ts';
import { VIEW_COLUMNS } from './outbox.ts';
import { INPUT_PAYLOAD, JOB_COLUMNS, OUTPUT_PAYLOAD, ROW_SEQ, type JobRow } from './rows.ts';
import { IN_LINE, SOLO } from './schema.ts';

/** A page of `list` looks at no more rows than this; a filter that matches less gives short pages and a cursor. */
const MAX_LISTED_SCAN = 10_000;
/** A page ends early when its outputs are more than this: they are all in memory at once. */
const MAX_LISTED_BYTES = 8 * 1024 * 1024;

export function createReaderCalls(db: DatabaseSync, limits: DiskLimits): ReaderCalls {
  const prepare = (sql: string) => {
    const statement = db.prepare(sql);
    statement.setReturnArrays(true);
    return statement;
  };
  const columns = `${JOB_COLUMNS}, ${OUTPUT_PAYLOAD}`;
  const byId = prepare(`SELECT ${columns} FROM job LEFT JOIN output ON output.seq = job.seq WHERE id = ?`);
  const failedInput = prepare(
    `SELECT ${JOB_COLUMNS}, ${INPUT_PAYLOAD} FROM job JOIN failed_input ON failed_input.job = job.seq
       JOIN input ON input.seq = job.seq WHERE id = ?`,
  );
  const pagesOf = (rows: string) => ({
    page: prepare(
      `SELECT ${columns}, job.output_bytes FROM (SELECT * FROM job WHERE ${rows} ORDER BY seq DESC LIMIT :scan) AS job
         LEFT JOIN output ON output.seq = job.seq
       WHERE (:status IS NULL OR status = :status) AND (:model IS NULL OR model = :model)
       ORDER BY job.seq DESC LIMIT :limit`,
    ),
    scanEnd: prepare(
      `SELECT min(seq), count(*) FROM (SELECT seq FROM job WHERE ${rows} ORDER BY seq DESC LIMIT :scan)`,
    ),
    hasBefore: prepare(`SELECT 1 FROM job WHERE ${rows} LIMIT 1`),
  });
  const everybodys = pagesOf('seq < :before');
  // Along the index that holds only what was made with a key.
  const callers = pagesOf("caller = :caller AND caller <> 'anonymous' AND seq < :before");
  const counts = prepare(
    'SELECT model, sum(waiting_jobs), sum(waiting_rows), sum(solo_jobs), sum(processing_jobs) FROM lane GROUP BY model',
  );
  // Along the two indexes alone; `seq` is the order of acceptance, so one row is looked up for each model.
  const oldest = prepare(
    `SELECT first.model, min(job.created_at) FROM (
       SELECT model, min(seq) AS seq FROM job WHERE ${IN_LINE} GROUP BY model
       UNION ALL SELECT model, min(seq) FROM job WHERE ${SOLO} GROUP BY model
     ) AS first JOIN job ON job.seq = first.seq GROUP BY first.model`,
  );
  const place = prepare(`SELECT model, priority, tag, seq FROM job WHERE id = ? AND ${IN_LINE}`);
  const versions = prepare('SELECT version FROM lane WHERE model = ? AND waiting_jobs > 0');
  // The order is (priority descending, tag, seq): three ranges of the index, none of which touches the table.
  const inLane = `SELECT count(*) FROM job WHERE model = ? AND version = ? AND ${IN_LINE}`;
  const before = [
    prepare(`${inLane} AND priority > ?`),
    prepare(`${inLane} AND priority = ? AND tag < ?`),
    prepare(`${inLane} AND priority = ? AND tag = ? AND seq < ?`),
  ] as const;
  const decidedOf = prepare(
    'SELECT job.id FROM json_each(?) AS asked JOIN job ON job.id = asked.value WHERE job.completed_at IS NOT NULL',
  );
  const hasKey = prepare('SELECT 1 FROM job WHERE caller = ? AND idempotency_key = ?');
  const loadOf = prepare('SELECT undecided_jobs FROM caller_load WHERE caller = ?');
  const room = prepare(
    'SELECT (SELECT coalesce(sum(waiting_jobs), 0) FROM lane WHERE model = ?), (SELECT input_bytes FROM total)',
  );
  const unnamed = prepare('SELECT key FROM unnamed_blob WHERE key > ? ORDER BY key LIMIT ?');
  const isNamed = prepare(
    'SELECT EXISTS (SELECT 1 FROM input WHERE blob = :key) OR EXISTS (SELECT 1 FROM output WHERE blob = :key) ' +
      'OR EXISTS (SELECT 1 FROM delivery WHERE output_blob = :key)',
  );

  const deliveriesOf = prepare(`SELECT ${VIEW_COLUMNS} FROM delivery WHERE job = ? ORDER BY seq`);
  const deliveries = prepare(
    `SELECT ${VIEW_COLUMNS} FROM delivery
     WHERE seq < :before AND (:status IS NULL OR status = :status) AND (:caller IS NULL OR caller = :caller)
     ORDER BY seq DESC LIMIT :limit`,
  );
  const pendingDeliveries = prepare('SELECT pending FROM delivery_total');

  const first = (row: unknown): number => (row as [number])[0];

  function list({ limit, beforeSeq, status, model, caller }: ListCall): ListReply {
    // A row may be committed between the two statements: not inside one read transaction.
    db.exec('BEGIN');
    try {
      const { page, scanEnd, hasBefore } = caller === null ? everybodys : callers;
      const from = beforeSeq ?? Number.MAX_SAFE_INTEGER;
      const whose: Record<string, string> = caller === null ? {} : { caller };
      const scope = { ...whose, before: from, scan: MAX_LISTED_SCAN };
      const rows = page.all({ ...scope, status, model, limit }) as unknown as JobRow[];
      const isCut = cutAtBytes(rows);
      const last = rows.at(-1);
      let end = from;
      if (last && (isCut || rows.length === limit)) end = last[ROW_SEQ] as number;
      else {
        const [lowest, scanned] = scanEnd.get(scope) as unknown as [number | null, number];
        if (lowest === null || scanned < MAX_LISTED_SCAN) return { rows, nextBeforeSeq: null };
        end = lowest;
      }
      return { rows, nextBeforeSeq: hasBefore.get({ ...whose, before: end }) ? end : null };
    } finally {
      db.exec('COMMIT');
    }
  }

  return {
    get: (id) => (byId.get(id) as unknown as JobRow | undefined) ?? null,
    failedInput: (id) => (failedInput.get(id) as unknown as JobRow | undefined) ?? null,
    list,
    counts: () =>
      (counts.all() as unknown as [string, number, number, number, number][]).map(
        ([model, waitingJobs, waitingRows, soloJobs, processingJobs]): [string, ModelCounts] => [
          model,
          { waitingJobs, waitingRows, soloJobs, processingJobs },
        ],
      ),
    oldestWaiting: () => oldest.all() as unknown as [string, number][],
    queuePosition(id) {
      const found = place.get(id) as unknown as [string, number, number, number] | undefined;
      if (!found) return null;
      const [model, priority, tag, seq] = found;
      let position = 0;
      for (const [version] of versions.all(model) as unknown as [string][]) {
        position += first(before[0].get(model, version, priority));
        position += first(before[1].get(model, version, priority, tag));
        position += first(before[2].get(model, version, priority, tag, seq));
      }
      return position;
    },
    refusal({ model, bytes, caller, idempotencyKey, maxUndecidedJobs }) {
      if (idempotencyKey !== null && hasKey.get(caller, idempotencyKey)) return null;
      const [waitingJobs, inputBytes] = room.get(model) as unknown as [number, number];
      const callerJobs = (loadOf.get(caller) as unknown as [number] | undefined)?.[0] ?? 0;
      return refusalFor({ model, bytes, maxUndecidedJobs }, { callerJobs, waitingJobs, inputBytes }, limits);
    },
    decidedAmong: (ids) => (decidedOf.all(JSON.stringify(ids)) as unknown as [string][]).map(([id]) => id),
    knownModels: readKnownModels(db),
    unnamed: ({ after, limit }) => (unnamed.all(after, limit) as unknown as [string][]).map(([key]) => key),
    isNamed: (key) => first(isNamed.get({ key })) === 1,
    deliveriesOf: (id) => deliveriesOf.all(id) as unknown as ViewRow[],
    listDeliveries: ({ limit, beforeSeq, status, caller }) =>
      deliveries.all({ before: beforeSeq ?? Number.MAX_SAFE_INTEGER, status, caller, limit }) as unknown as ViewRow[],
    pendingDeliveries: () => first(pendingDeliveries.get()),
    checkpoint() {
      db.prepare('PRAGMA wal_checkpoint(PASSIVE)').get();
      return null;
    },
  };
}

/** Shortens the page to what may be in memory, one row at least, and takes the sizes off the rows. */
function cutAtBytes(rows: JobRow[]): boolean {
  let bytes = 0;
  for (const [index, row] of rows.entries()) {
    bytes += row.pop() as number;
    if (bytes <= MAX_LISTED_BYTES || index === 0) continue;
    rows.length = index;
    return true;
  }
  return false;
}
