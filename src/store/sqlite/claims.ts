/** Which waiting jobs a claim gets: a merge of two lanes (any version, and the one that is served), each read from its index. */
import type { DatabaseSync } from 'node:sqlite';
import type { ClaimRequest } from '../store.ts';
import { INPUT_PAYLOAD, JOB_COLUMNS, type JobRow } from './rows.ts';
import { IN_LINE, SOLO } from './schema.ts';
import { EXTRA, extraOf, fields } from './writer-rows.ts';

/** As in `memory-queue.ts`: how many oversized jobs one claim steps over. */
const MAX_PASSED_OVER = 256;
/** One claim ends after this much input, so that its answer stays small; there is always the next one. */
const MAX_CLAIM_BYTES = 32 * 1024 * 1024;

export function createClaims(db: DatabaseSync) {
  const lanes = (place: string) => {
    const sql = `SELECT ${JOB_COLUMNS}, ${INPUT_PAYLOAD}, ${EXTRA} FROM job JOIN input ON input.seq = job.seq
      WHERE model = ? AND version = ? AND ${place} ORDER BY priority DESC, tag, job.seq LIMIT ?`;
    // Two of the same: both are read at once.
    const [any, pinned] = [db.prepare(sql), db.prepare(sql)];
    for (const statement of [any, pinned]) statement.setReturnArrays(true);
    return { any, pinned };
  };
  const inLine = lanes(IN_LINE);
  const solo = lanes(SOLO);

  /** The next ones in order that fit; one at most of those that are run alone. */
  return function choose(request: ClaimRequest): JobRow[] {
    const { model, version, maxRows, capacityRows } = request;
    const from = request.solo ? solo : inLine;
    const maxJobs = request.solo ? 1 : maxRows;
    const limit = maxJobs + MAX_PASSED_OVER;
    const any = from.any.iterate(model, '', request.namedOnly ? 0 : limit) as unknown as NodeJS.Iterator<JobRow>;
    const pinned = from.pinned.iterate(
      model,
      version,
      version === '' ? 0 : limit,
    ) as unknown as NodeJS.Iterator<JobRow>;
    const taken: JobRow[] = [];
    let left = maxRows;
    let bytes = 0;
    let passedOver = 0;
    try {
      let a = nextOf(any);
      let b = nextOf(pinned);
      while (passedOver <= MAX_PASSED_OVER && bytes < MAX_CLAIM_BYTES) {
        const isAny = a !== null && (b === null || isBefore(a, b));
        const row = isAny ? a : b;
        if (row === null) break;
        const { rows } = fields(row);
        if (rows <= left) {
          taken.push(row);
          left -= rows;
          bytes += extraOf(row).inputBytes;
        } else if (rows <= capacityRows) break;
        else passedOver += 1;
        if (left === 0 || taken.length === maxJobs) break;
        if (isAny) a = nextOf(any);
        else b = nextOf(pinned);
      }
    } finally {
      // A statement that is not read to its end stays open, and would see what is changed next.
      any.return?.();
      pinned.return?.();
    }
    return taken;
  };
}

function isBefore(a: JobRow, b: JobRow): boolean {
  const [x, y] = [fields(a), fields(b)];
  return (y.priority - x.priority || extraOf(a).tag - extraOf(b).tag || x.seq - y.seq) < 0;
}

function nextOf(rows: NodeJS.Iterator<JobRow>): JobRow | null {
  const { done, value } = rows.next();
  return done ? null : value;
}
