/**
 * Submissions, on a connection of their own: whatever waits is one statement. Bounds hold for all gateways together. Far from them a batch
 * takes their locks shared and adds to the sums; near one it takes that bound's lock for itself, counts, and refuses what has no room:
 * see `submit_2`. Keys are looked up before, so that a repetition costs no place in line. A key that another gateway uses in the same
 * moment fails the batch, and everything in it is looked at again.
 */
import { createHash } from 'node:crypto';
import { acceptedJob } from '../../dispatch/accepted.ts';
import { ANONYMOUS, type JobId } from '../../dispatch/job.ts';
import { PosternError } from '../../errors.ts';
import { bodyDigest } from '../body-digest.ts';
import { TOO_MANY_DELIVERIES } from '../deliveries.ts';
import { overQuota } from '../quota.ts';
import type { SubmitOutcome, SubmittedJob } from '../store.ts';
import type { Connection, Row, Run, Statement } from './connection.ts';
import type { DiskLimits } from '../disk-limits.ts';
import { InDoubt, isTaken } from './errors.ts';
import { insertion, NEAR_BOUNDS, type Item } from './insertion.ts';
import { LOCK_SPACE, type Times } from './options.ts';
import { MAX_INLINE_BYTES } from '../payload-blobs.ts';
import type { Payloads } from './payloads.ts';
import { createQueue } from './queue.ts';
import type { Read, Reads } from './reads.ts';
import { toRows } from './rows.ts';

type BoundKind = 'model' | 'caller' | 'bytes' | 'deliveries';

interface Bound {
  readonly kind: BoundKind;
  readonly name: string;
  readonly bound: number;
  wanted: number;
}

export interface SubmitsOptions {
  readonly connection: Connection;
  readonly read: Read;
  readonly reads: Reads;
  readonly payloads: Payloads;
  readonly limits: DiskLimits;
  readonly times: Times;
  readonly slot: number;
}

const MAX_GROUP = 1_000;
/** A large input counts as so many jobs. */
const WEIGHT_BYTES = 16 * 1024;
/** How often a batch is begun again because a key or a bound changed under it. */
const MAX_ROUNDS = 10;

const keyOf = ({ caller, idempotencyKey }: SubmittedJob): string | null =>
  idempotencyKey === null ? null : `${caller}\n${idempotencyKey}`;
const refused = (code: PosternError['code'], message: string): SubmitOutcome => ({
  type: 'refused',
  error: new PosternError(code, message),
});
/** Of a lock: all gateways must choose the same. */
const lockOf = ({ kind, name }: Bound): number => createHash('sha1').update(`${kind} ${name}`).digest().readInt32BE(0);

/** A large input counts by the name that a blob store gives it, wherever it is kept: the same in every configuration, and in SQLite. */
function digestOf(job: SubmittedJob): string {
  const { contentType, bytes } = job.input;
  if (bytes.byteLength <= MAX_INLINE_BYTES) return bodyDigest(job);
  const name = createHash('sha256').update(bytes).digest('hex');
  return bodyDigest({ ...job, input: { contentType, bytes: Buffer.from(name) } });
}

export function createSubmits(options: SubmitsOptions) {
  const { connection, read, reads, payloads, limits, times, slot } = options;
  // A thirty-second of a bound is what a batch may take without counting.
  const maxWeight = Math.max(64, Math.min(MAX_GROUP, Math.floor(limits.queueLimitJobs / 32)));
  const queue = createQueue<Item, SubmitOutcome>({
    together,
    weigh: ({ job, blob }) => Math.max(1, blob === null ? job.input.bytes.byteLength / WEIGHT_BYTES : 0),
    maxWeight,
  });

  // ---- keys ----------------------------------------------------------------------------------------------------------

  /** What is known of these keys: the digest that came with each, and its job. */
  async function earlier(items: readonly Item[]): Promise<Map<string, { digest: string; id: JobId }>> {
    const keyed = items.filter(({ job }) => job.idempotencyKey !== null);
    if (keyed.length === 0) return new Map();
    const rows = await read(
      `SELECT j.caller, j.idempotency_key, j.digest, j.id FROM unnest($1::text[], $2::text[]) AS k (caller, key)
       JOIN postern.job j ON j.caller = k.caller AND j.idempotency_key = k.key`,
      [keyed.map(({ job }) => job.caller), keyed.map(({ job }) => job.idempotencyKey)],
    );
    return new Map(
      (rows as [string, string, string, string][]).map(([caller, key, digest, id]) => [
        `${caller}\n${key}`,
        { digest, id },
      ]),
    );
  }

  async function repeated(item: Item, known: { digest: string; id: JobId }): Promise<SubmitOutcome | null> {
    if (known.digest !== item.digest) {
      return refused('idempotency_mismatch', 'the key came before with another body: use a new key');
    }
    const job = await reads.get(known.id);
    // It was forgotten in between, and its key with it.
    return job === null ? null : { type: 'existing', job };
  }

  // ---- one group -------------------------------------------------------------------------------------------------------

  async function together(items: readonly Item[]): Promise<SubmitOutcome[]> {
    const outcomes: (SubmitOutcome | null)[] = items.map(() => null);
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const open = items.flatMap((item, index) => (outcomes[index] === null ? [{ item, index }] : []));
      if (open.length === 0) return outcomes as SubmitOutcome[];
      const known = await earlier(open.map(({ item }) => item));
      const fresh: typeof open = [];
      const taken = new Set<string>();
      for (const one of open) {
        const { job } = one.item;
        const key = keyOf(job);
        const before = key === null ? undefined : known.get(key);
        if (before) outcomes[one.index] = await repeated(one.item, before);
        else if (![key ?? '', `id ${job.id}`].some((name) => taken.has(name))) {
          // The second one of a name in one batch meets what became of the first, in the next round.
          if (key !== null) taken.add(key);
          taken.add(`id ${job.id}`);
          fresh.push(one);
        }
      }
      const given = await addSurely(fresh.map(({ item }) => item));
      for (const [position, { index }] of fresh.entries()) outcomes[index] = given[position]!;
    }
    return outcomes.map(
      (outcome) => outcome ?? refused('overloaded', 'this key changes hands too fast: try again later'),
    );
  }

  /**
   * A connection that breaks leaves it open whether they were added. The same again settles that, because their names are theirs
   * alone: what is there now was added by the first try, and should that be under way still, the second one waits for its end.
   */
  async function addSurely(items: readonly Item[]): Promise<(SubmitOutcome | null)[]> {
    try {
      return await add(items);
    } catch (error) {
      if (!(error instanceof InDoubt)) throw error;
      // Theirs, and not this try's: what fails now may be tried again, together or one by one.
      for (const item of items) item.inDoubt = true;
      return add(items);
    }
  }

  /** Null: a name of the batch was taken in this moment; look again. */
  async function add(items: readonly Item[]): Promise<(SubmitOutcome | null)[]> {
    if (items.length === 0) return [];
    const bounds = boundsOf(items);
    try {
      const at = await inserted(connection.run, items, bounds);
      return at === NEAR_BOUNDS ? await addNearBounds(items, bounds) : items.map(({ job }) => accepted(job, at));
    } catch (error) {
      if (!isTaken(error)) throw error;
      const used = await namesIn(items.map(({ job }) => job.id));
      return items.map(({ job, inDoubt }) => {
        const before = used.get(job.id);
        if (before === undefined) return null;
        return inDoubt ? accepted(job, before) : refused('internal', `the job id ${job.id} was used before`);
      });
    }
  }

  const accepted = (job: SubmittedJob, at: number): SubmitOutcome => ({ type: 'accepted', job: acceptedJob(job, at) });

  /** Which of them there are, and since when. */
  async function namesIn(ids: readonly JobId[]): Promise<ReadonlyMap<JobId, number>> {
    const rows = await read('SELECT j.id, j.created_at FROM postern.job j WHERE j.id = ANY ($1)', [ids]);
    return new Map(rows as readonly Row[] as readonly (readonly [JobId, number])[]);
  }

  // ---- near a bound --------------------------------------------------------------------------------------------------

  async function addNearBounds(items: readonly Item[], bounds: readonly Bound[]): Promise<SubmitOutcome[]> {
    return connection.transaction(async (run) => {
      await run([
        {
          text: 'SELECT pg_advisory_xact_lock($1, k) FROM unnest($2::int[]) AS k',
          values: [LOCK_SPACE, locksOf(bounds)],
        },
      ]);
      // Another statement: its snapshot is of after the lock.
      const used = await sums(async ({ text, values }) => (await run([{ text, values }]))[0]!, bounds);
      // What the first try added has its room already.
      const inDoubt = items.filter((item) => item.inDoubt).map(({ job }) => job.id);
      const there = inDoubt.length > 0 ? await namesIn(inDoubt) : new Map<JobId, number>();
      const outcomes = items.map(({ job }): SubmitOutcome | null => {
        const at = there.get(job.id);
        return at === undefined ? admit(job, used) : accepted(job, at);
      });
      const admitted = items.filter((_, index) => outcomes[index] === null);
      const at = admitted.length === 0 ? 0 : await inserted(run, admitted, null);
      return outcomes.map((outcome, index) => outcome ?? accepted(items[index]!.job, at));
    });
  }

  type Used = Map<string, number>;
  const nameOf = ({ kind, name }: Pick<Bound, 'kind' | 'name'>): string => `${kind} ${name}`;

  async function sums(ask: (statement: Statement) => Promise<readonly Row[]>, bounds: readonly Bound[]): Promise<Used> {
    const rows = await ask({
      text: `SELECT x.kind, x.name, (CASE x.kind
          WHEN 'model' THEN (SELECT coalesce(sum(l.waiting_jobs), 0) FROM postern.lane l WHERE l.model = x.name)
          WHEN 'caller' THEN (SELECT coalesce(sum(c.undecided), 0) FROM postern.caller_load c WHERE c.caller = x.name)
          WHEN 'bytes' THEN (SELECT coalesce(sum(t.input_bytes), 0) FROM postern.total t)
          ELSE (SELECT coalesce(sum(t.pending_deliveries), 0) FROM postern.total t) END)::bigint
        FROM json_to_recordset($1) AS x (kind text, name text)`,
      values: [toRows(bounds)],
    });
    return new Map((rows as [BoundKind, string, number][]).map(([kind, name, used]) => [nameOf({ kind, name }), used]));
  }

  /** Null: there is room, and it is taken. */
  function admit(job: SubmittedJob, used: Used): SubmitOutcome | null {
    const of = (kind: BoundKind, name: string): number => used.get(nameOf({ kind, name })) ?? 0;
    const { model, caller, maxUndecidedJobs = null, webhook } = job;
    const bytes = job.input.bytes.byteLength;
    const { queueLimitJobs, maxInputBytes, maxDeliveries } = limits;
    if (maxUndecidedJobs !== null && of('caller', caller) >= maxUndecidedJobs) {
      return refused('quota_exceeded', overQuota(maxUndecidedJobs));
    }
    if (of('model', model) >= queueLimitJobs) {
      return refused('queue_full', `${queueLimitJobs} jobs wait for ${model}, which is the limit: try again later`);
    }
    if (of('bytes', '') + bytes > maxInputBytes) {
      return refused('overloaded', `the inputs of waiting jobs fill ${maxInputBytes} bytes: try again later`);
    }
    if (webhook !== null && of('deliveries', '') >= maxDeliveries) return refused('overloaded', TOO_MANY_DELIVERIES);
    const add = (kind: BoundKind, name: string, amount: number) =>
      used.set(nameOf({ kind, name }), of(kind, name) + amount);
    add('model', model, 1);
    add('bytes', '', bytes);
    if (caller !== ANONYMOUS) add('caller', caller, 1);
    return null;
  }

  /** Which bounds these jobs touch, and how much of each they take. */
  function boundsOf(items: readonly Item[]): Bound[] {
    const bounds = new Map<string, Bound>();
    const want = (kind: BoundKind, name: string, bound: number, amount: number): void => {
      const key = nameOf({ kind, name });
      const found = bounds.get(key);
      // The narrowest, where quotas of one caller differ.
      if (found && found.bound <= bound) found.wanted += amount;
      else bounds.set(key, { kind, name, bound, wanted: amount + (found?.wanted ?? 0) });
    };
    for (const { job } of items) {
      want('model', job.model, limits.queueLimitJobs, 1);
      want('bytes', '', limits.maxInputBytes, job.input.bytes.byteLength);
      const quota = job.maxUndecidedJobs ?? null;
      if (job.caller !== ANONYMOUS && (quota !== null || bounds.has(nameOf({ kind: 'caller', name: job.caller })))) {
        want('caller', job.caller, quota ?? Infinity, 1);
      }
      // A start and an end of each.
      if (job.webhook !== null) want('deliveries', '', limits.maxDeliveries, 2);
    }
    return [...bounds.values()];
  }

  const locksOf = (bounds: readonly Bound[]): number[] => [...new Set(bounds.map(lockOf))].sort((a, b) => a - b);

  /** The moment in which all of them were accepted, or NEAR_BOUNDS: none was. Without `bounds` they were counted. */
  async function inserted(run: Run, items: readonly Item[], bounds: readonly Bound[] | null): Promise<number> {
    const near =
      bounds === null ? [null, null] : [locksOf(bounds), toRows(bounds.filter(({ bound }) => bound < Infinity))];
    const [answer] = await run([insertion(items, [slot, times.now(), limits.waitTtlMs, LOCK_SPACE, ...near])]);
    return answer![0]![0] as number;
  }

  async function submitOne(job: SubmittedJob): Promise<SubmitOutcome> {
    const put = payloads.keep(job.input.bytes);
    if (put !== null) {
      // Asked first: a refusal must not cost twenty megabytes. A key that came before is not refused: whoever inserts knows.
      const item = { job, blob: null, digest: null, inDoubt: false };
      const isKnown = (await earlier([item])).size > 0;
      const refusal = isKnown
        ? null
        : admit(job, await sums(({ text, values }) => read(text, values), boundsOf([item])));
      if (refusal !== null) return refusal;
    }
    const blob = put === null ? null : await put();
    return queue.call({ job, blob, digest: job.idempotencyKey === null ? null : digestOf(job), inDoubt: false });
  }

  return {
    submit: (jobs: readonly SubmittedJob[]) => Promise.all(jobs.map(submitOne)),
    close: () => queue.close(),
  };
}
