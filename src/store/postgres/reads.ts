/** What is only read. Several connections, so that a long list holds up no short question; a read that a lost one took with it is made again. */
import type { Clock } from '../../clock.ts';
import type { Job, JobId, Payload } from '../../dispatch/job.ts';
import type { KnownModel } from '../known-models.ts';
import type { FencedOutcome, ListRequest, ModelCounts } from '../store.ts';
import { parseCursor } from '../cursor.ts';
import type { Connection, Row } from './connection.ts';
import { InDoubt, toStorageError } from './errors.ts';
import type { Times } from './options.ts';
import type { Payloads } from './payloads.ts';
import { JOB_WIDTH, jobColumns, toJob, toRecord } from './rows.ts';

/** A page of `list` looks at no more rows than this; a filter that matches less gives short pages and a cursor. */
const MAX_LISTED_SCAN = 10_000;
/** A page ends early when its outputs are more than this: they are all in memory at once. */
const MAX_LISTED_BYTES = 8 * 1024 * 1024;

const WITH_OUTPUT = `${jobColumns('j')}, o.content_type, o.bytes, o.blob`;
const IN_LINE = "j.status = 'starting' AND j.not_before IS NULL AND j.suspicion < 2";
const ALONE = "j.status = 'starting' AND j.not_before IS NULL AND j.suspicion >= 2";

export type Read = (text: string, values?: readonly unknown[]) => Promise<Row[]>;

/** Breaks that are met so soon after each other are one event, such as a restart, that broke every connection. */
const ONE_EVENT_MS = 1_000;

/**
 * A read may be asked again, so a connection that breaks under it is no error yet. Whatever broke one may have broken all, and each is
 * known to be broken only when it is used: so every other one, and then a new one, may be tried. Those that fall silent take
 * the time of a whole wait each, of which nobody is made to wait for more than two.
 */
export function createRead(connections: readonly Connection[], clock: Clock): Read {
  return async (text, values = []) => {
    const once = async (): Promise<Row[]> => {
      const free = connections.reduce((best, one) => (one.busy < best.busy ? one : best));
      return (await free.run([{ text, values }]))[0]!;
    };
    const until = clock.monotonic() + ONE_EVENT_MS;
    for (let tries = 1; ; tries += 1) {
      try {
        return await once();
      } catch (error) {
        const mayTry = tries === 1 || (tries <= connections.length && clock.monotonic() < until);
        if (!(error instanceof InDoubt && mayTry)) throw toStorageError(error);
      }
    }
  };
}

export type Reads = ReturnType<typeof createReads>;

export function createReads(read: Read, payloads: Payloads, times: Pick<Times, 'now'>) {
  async function withOutput(row: Row, at = 0): Promise<Job> {
    const [contentType, bytes, blob] = row.slice(at + JOB_WIDTH) as [string | null, Uint8Array | null, string | null];
    const output: Payload | null =
      contentType === null ? null : { contentType, bytes: await payloads.read(bytes, blob) };
    return toJob(toRecord(row, at), undefined, output);
  }

  async function get(id: JobId): Promise<Job | null> {
    const [row] = await read(
      `SELECT ${WITH_OUTPUT} FROM postern.job j LEFT JOIN postern.output o ON o.seq = j.seq WHERE j.id = $1`,
      [id],
    );
    return row === undefined ? null : withOutput(row);
  }

  return {
    get,
    async failedInput(id: JobId): Promise<Payload | null> {
      const [row] = await read(
        `SELECT j.content_type, i.bytes, i.blob FROM postern.job j JOIN postern.failed_input f ON f.job = j.seq
         JOIN postern.input i ON i.seq = j.seq WHERE j.id = $1`,
        [id],
      );
      if (row === undefined) return null;
      const [contentType, bytes, blob] = row as [string, Uint8Array | null, string | null];
      return { contentType, bytes: await payloads.read(bytes, blob) };
    },
    /** Why a fence did not hold. */
    async standing(ids: readonly JobId[]): Promise<Map<JobId, Exclude<FencedOutcome, { type: 'applied' }>>> {
      const found = new Map<JobId, Exclude<FencedOutcome, { type: 'applied' }>>(
        ids.map((id) => [id, { type: 'unknown' }]),
      );
      const rows = await read(
        `SELECT j.completed_at IS NOT NULL, ${WITH_OUTPUT} FROM postern.job j LEFT JOIN postern.output o ON o.seq = j.seq WHERE j.id = ANY ($1)`,
        [ids],
      );
      for (const row of rows) {
        const { id } = toRecord(row, 1);
        found.set(id, row[0] === true ? { type: 'settled', job: await withOutput(row, 1) } : { type: 'stale' });
      }
      return found;
    },
    async list(request: ListRequest): Promise<{ jobs: Job[]; next: string | null }> {
      const { limit, cursor, status = null, model = null, caller = null } = request;
      const before = cursor === null ? Number.MAX_SAFE_INTEGER : parseCursor(cursor);
      // Along the index that holds only what was made with a key.
      const whose = caller === null ? 'true' : "k.caller = $6 AND k.caller <> 'anonymous'";
      const values = [before, MAX_LISTED_SCAN, status, model, limit, ...(caller === null ? [] : [caller])];
      const rows = await read(
        `WITH scan AS MATERIALIZED (
           SELECT k.seq, k.status, k.model FROM postern.job k WHERE ${whose} AND k.seq < $1 ORDER BY k.seq DESC LIMIT $2
         ), page AS (
           SELECT s.seq FROM scan s WHERE ($3::text IS NULL OR s.status = $3) AND ($4::text IS NULL OR s.model = $4)
           ORDER BY s.seq DESC LIMIT $5
         ), sized AS (
           SELECT p.seq, sum(j.output_bytes) OVER (ORDER BY p.seq DESC) AS bytes, row_number() OVER (ORDER BY p.seq DESC) AS place
           FROM page p JOIN postern.job j ON j.seq = p.seq
         )
         SELECT (SELECT min(s.seq) FROM scan s), (SELECT count(*) FROM scan s), (SELECT count(*) FROM page), ${WITH_OUTPUT}
         FROM (SELECT 1) AS one
         LEFT JOIN sized z ON z.place = 1 OR z.bytes <= ${MAX_LISTED_BYTES}
         LEFT JOIN postern.job j ON j.seq = z.seq LEFT JOIN postern.output o ON o.seq = z.seq
         ORDER BY z.seq DESC`,
        values,
      );
      const [lowest, scanned, matched] = rows[0] as [number | null, number, number];
      const found = rows.filter((row) => row[3] !== null);
      const jobs = await Promise.all(found.map((row) => withOutput(row, 3)));
      const last = found.at(-1)?.[3] as number | undefined;
      const isFull = last !== undefined && (jobs.length < matched || jobs.length === limit);
      const end = isFull ? last : scanned === MAX_LISTED_SCAN ? lowest : null;
      if (end === null) return { jobs, next: null };
      const more = await read(
        `SELECT 1 FROM postern.job k WHERE ${whose.replace('$6', '$2')} AND k.seq < $1 LIMIT 1`,
        caller === null ? [end] : [end, caller],
      );
      return { jobs, next: more.length === 0 ? null : String(end) };
    },
    async counts(): Promise<Map<string, ModelCounts>> {
      const rows = await read(
        `SELECT l.model, sum(l.waiting_jobs)::bigint, sum(l.waiting_rows)::bigint, sum(l.solo_jobs)::bigint, sum(l.processing_jobs)::bigint
         FROM postern.lane l GROUP BY l.model`,
      );
      return new Map(
        (rows as [string, number, number, number, number][]).map(
          ([model, waitingJobs, waitingRows, soloJobs, processingJobs]) => [
            model,
            { waitingJobs, waitingRows, soloJobs, processingJobs },
          ],
        ),
      );
    },
    /** Along the indexes of what waits; `seq` is about the order of acceptance, so one row is looked up for each model. */
    async oldestWaiting(): Promise<Map<string, number>> {
      const rows = await read(
        `SELECT first.model, max(postern.ms_1($1) - o.created_at) FROM (
           SELECT j.model, min(j.seq) AS seq FROM postern.job j WHERE ${IN_LINE} GROUP BY j.model
           UNION ALL SELECT j.model, min(j.seq) FROM postern.job j WHERE ${ALONE} GROUP BY j.model
         ) AS first JOIN postern.job o ON o.seq = first.seq GROUP BY first.model`,
        [times.now()],
      );
      return new Map((rows as [string, number][]).map(([model, ageMs]) => [model, Math.max(0, ageMs)]));
    },
    /** The order is (priority descending, tag, seq): ranges of one index, in each lane that has something. */
    async queuePosition(id: JobId): Promise<number | null> {
      const [row] = await read(
        `SELECT (SELECT coalesce(sum(b.before), 0) FROM (SELECT DISTINCT l.version FROM postern.lane l WHERE l.model = j.model) AS v,
           LATERAL (
             SELECT (SELECT count(*) FROM postern.job w WHERE w.model = j.model AND w.version = v.version AND w.status = 'starting'
                 AND w.not_before IS NULL AND w.suspicion < 2 AND w.priority > j.priority)
               + (SELECT count(*) FROM postern.job w WHERE w.model = j.model AND w.version = v.version AND w.status = 'starting'
                 AND w.not_before IS NULL AND w.suspicion < 2 AND w.priority = j.priority AND (w.tag, w.seq) < (j.tag, j.seq)) AS before
           ) AS b)::bigint
         FROM postern.job j WHERE j.id = $1 AND ${IN_LINE}`,
        [id],
      );
      return row === undefined ? null : (row[0] as number);
    },
    async decidedAmong(ids: readonly JobId[]): Promise<JobId[]> {
      if (ids.length === 0) return [];
      const rows = await read('SELECT j.id FROM postern.job j WHERE j.id = ANY ($1) AND j.completed_at IS NOT NULL', [
        ids,
      ]);
      return rows.map(([id]) => id as string);
    },
    /** Longest unheard first. */
    async knownModels(): Promise<KnownModel[]> {
      const rows = await read(
        'SELECT name, report, versions, last_seen_at FROM postern.known_model ORDER BY last_seen_at, name',
      );
      return (rows as [string, string, string, number][]).map(([name, report, versions, lastSeenAt]) => {
        return { name, report, versions: JSON.parse(versions) as string[], lastSeenAt };
      });
    },
  };
}
