/**
 * Everything that changes jobs but their submission, on two connections: heartbeats, progress and ends of one turn of the engine travel as
 * one pipeline and one transaction on the first, its claims on the second. Neither needs what the other does, and two connections
 * are two processes of the server. Calls that were made together have no order that anybody could rely on; a call that needs
 * to be behind others (`alone`, `behindClaims`) is.
 */
import type { Fence, Job, JobId, SessionId } from '../../dispatch/job.ts';
import type { ClaimRequest, FencedOutcome } from '../store.ts';
import type { ClaimReply, Claims } from './claims.ts';
import type { Connection, Row, Statement } from './connection.ts';
import { succeed, LOOK_COLUMNS, LOST_ON_THE_WAY, rule, toLooked, type EndItem, type Ends } from './ends.ts';
import type { DiskLimits } from '../disk-limits.ts';
import type { Times } from './options.ts';
import { createQueue } from './queue.ts';
import type { Reads } from './reads.ts';
import { jobColumns, toJob, toRecord, toRows } from './rows.ts';
import type { Ruling } from './ruling.ts';

export interface ProgressItem {
  readonly fence: Fence;
  /** JSON. */
  readonly progress: string;
}

type Call =
  | { readonly type: 'end'; readonly items: readonly EndItem[] }
  | { readonly type: 'progress'; readonly items: readonly ProgressItem[] }
  | { readonly type: 'heartbeat'; readonly session: SessionId; readonly leaseMs: number };

type Reply =
  | { readonly type: 'fenced'; readonly outcomes: readonly FencedOutcome[] }
  | { readonly type: 'cancels'; readonly ids: readonly JobId[] };

export interface TurnsOptions {
  readonly connection: Connection;
  /** For claims. */
  readonly claimer: Connection;
  readonly ends: Ends;
  readonly claims: Claims;
  readonly reads: Reads;
  readonly times: Times;
  readonly limits: Pick<DiskLimits, 'maxAttempts'>;
  /** Came back to the queue without anybody's doing. */
  readonly returned: (jobs: readonly Job[]) => void;
}

/** Rows and requests of one group; some ms of work for the database. */
const MAX_GROUP = 1_000;
/** A large output counts as so many. */
const WEIGHT_BYTES = 16 * 1024;
/** The cancel flag may change between a look and its ruling, or a new connection between a claim and its writer's epoch. */
const MAX_LOOKS = 8;

export type Turns = ReturnType<typeof createTurns>;

export function createTurns({ connection, claimer, ends, claims, reads, times, limits, returned }: TurnsOptions) {
  const queue = createQueue<Call, Reply>({ together, weigh, maxWeight: MAX_GROUP });
  const claimQueue = createQueue<readonly ClaimRequest[], readonly ClaimReply[]>({
    together: claimTogether,
    weigh: (requests) => requests.length,
    maxWeight: MAX_GROUP,
  });

  function weigh(call: Call): number {
    if (call.type === 'heartbeat') return 1;
    if (call.type === 'progress') return call.items.length;
    return call.items.reduce(
      (sum, { outcome }) =>
        sum + 1 + (outcome.type === 'succeeded' ? outcome.output.bytes.byteLength / WEIGHT_BYTES : 0),
      0,
    );
  }

  // ---- one group ---------------------------------------------------------------------------------------------------

  async function together(calls: readonly Call[]): Promise<Reply[]> {
    const items = calls.flatMap((call) => (call.type === 'end' ? call.items : []));
    const updates = calls.flatMap((call) => (call.type === 'progress' ? call.items : []));
    const beats = calls.flatMap((call) => (call.type === 'heartbeat' ? [call] : []));
    const batch = await beginEnds(items);
    const ending = ends.write(batch.rulings);
    const before = [beats.length === 0 ? null : heartbeat(beats), updates.length === 0 ? null : progress(updates)];
    const statements = [...before.filter((one) => one !== null), ...ending.statements];
    const rows = statements.length === 0 ? [] : await connection.run(statements);
    let answered = 0;
    const [beaten, noted] = before.map((one) => (one === null ? [] : rows[answered++]!));
    const outcomes = items.length === 0 ? [] : await finishEnds(items, batch, ending.changed(rows.slice(answered)));
    const noteds = updates.length === 0 ? [] : await progressOutcomes(updates, noted!);

    let [end, note] = [0, 0];
    return calls.map((call): Reply => {
      switch (call.type) {
        case 'end':
          return { type: 'fenced', outcomes: outcomes.slice(end, (end += call.items.length)) };
        case 'progress':
          return { type: 'fenced', outcomes: noteds.slice(note, (note += call.items.length)) };
        case 'heartbeat':
          return { type: 'cancels', ids: beaten!.flatMap(([of, id]) => (of === call.session ? [id as string] : [])) };
      }
    });
  }

  // ---- claims --------------------------------------------------------------------------------------------------------

  async function claimTogether(calls: readonly (readonly ClaimRequest[])[]): Promise<(readonly ClaimReply[])[]> {
    const requests = calls.flat();
    if (requests.length === 0) return calls.map(() => []);
    const replies = claims.replies(await claimRows(requests), requests);
    let next = 0;
    return calls.map(({ length }) => replies.slice(next, (next += length)));
  }

  async function claimRows(requests: readonly ClaimRequest[]): Promise<readonly Row[]> {
    for (let tries = 1; ; tries += 1) {
      await undoClaims();
      const { name, statement } = claims.statement(requests);
      try {
        return (await claimer.run([statement]))[0]!;
      } catch (error) {
        claims.failed(name, requests, error);
        // The connection is a new one since the statement was made: its epoch is too.
        if (!claims.isStale(error) || tries === MAX_LOOKS) throw error;
      }
    }
  }

  // ---- ends ----------------------------------------------------------------------------------------------------------

  interface Batch {
    readonly rulings: readonly Ruling[];
    /** Of each item: the place of its ruling, what it met already, or 'again' for the second end of one job. */
    readonly fates: readonly (number | Exclude<FencedOutcome['type'], 'applied'> | 'again')[];
  }

  async function lookAt(ids: readonly JobId[]) {
    if (ids.length === 0) return new Map<JobId, ReturnType<typeof toLooked>>();
    const [rows] = await connection.run([ends.look(ids)]);
    return new Map(rows!.map(toLooked).map((looked) => [looked.row.id, looked]));
  }

  async function beginEnds(items: readonly EndItem[]): Promise<Batch> {
    const looked = await lookAt(
      items.flatMap(({ fence, outcome }) => (outcome.type === 'succeeded' ? [] : [fence.job])),
    );
    const rulings: Ruling[] = [];
    const seen = new Set<JobId>();
    const fates = items.map((item) => {
      const { job } = item.fence;
      if (seen.has(job)) return 'again' as const;
      const ruling = succeed(item) ?? ends.judge(looked.get(job), item);
      if (typeof ruling === 'string') return ruling as Exclude<FencedOutcome['type'], 'applied'>;
      seen.add(job);
      return rulings.push(ruling) - 1;
    });
    return { rulings, fates };
  }

  async function finishEnds(
    items: readonly EndItem[],
    { fates }: Batch,
    changed: readonly (Job | null)[],
    looks = 1,
  ): Promise<FencedOutcome[]> {
    const outcomes: (FencedOutcome | null)[] = fates.map((fate) => {
      // It was stale when it was looked at, whatever another end of this batch has made of the job since.
      if (fate === 'stale') return { type: 'stale' };
      const job = typeof fate === 'number' ? changed[fate] : null;
      return job ? { type: 'applied', job } : null;
    });
    const missing = items.filter((_, index) => outcomes[index] === null);
    if (missing.length === 0) return outcomes as FencedOutcome[];
    const standing = await reads.standing([...new Set(missing.map(({ fence }) => fence.job))]);
    // What is not decided may still be this fence's: a second end in one batch, or a cancel that came between look and ruling.
    const open = missing.filter(({ fence }) => standing.get(fence.job)?.type === 'stale');
    const again = looks < MAX_LOOKS && open.length > 0 ? await endAgain(open, looks + 1) : [];
    let next = 0;
    return items.map((item, index) => {
      const done = outcomes[index];
      if (done) return done;
      const met = standing.get(item.fence.job) ?? { type: 'unknown' };
      return met.type === 'stale' && again.length > 0 ? again[next++]! : met;
    });
  }

  /** Those whose fence still holds; the others are stale for good. */
  async function endAgain(items: readonly EndItem[], looks: number): Promise<FencedOutcome[]> {
    const looked = await lookAt(items.map(({ fence }) => fence.job));
    const isOwned = ({ fence }: EndItem): boolean => {
      const row = looked.get(fence.job)?.row;
      return row?.status === 'processing' && row.attempt === fence.attempt && row.session === fence.session;
    };
    const owned = items.filter(isOwned);
    if (owned.length === 0) return items.map(() => ({ type: 'stale' }));
    const batch = await beginEnds(owned);
    const outcomes = await finishEnds(owned, batch, await written(batch.rulings), looks);
    let next = 0;
    return items.map((item) => (isOwned(item) ? outcomes[next++]! : { type: 'stale' }));
  }

  async function written(rulings: readonly Ruling[], reclaim = false, through = connection): Promise<(Job | null)[]> {
    const ending = ends.write(rulings, reclaim);
    return ending.changed(ending.statements.length === 0 ? [] : await through.run(ending.statements));
  }

  /** Ends that were ruled upon elsewhere, in turn. */
  const apply = async (rulings: readonly Ruling[], reclaim = false, through = connection): Promise<Job[]> =>
    (await written(rulings, reclaim, through)).filter((job) => job !== null);

  /** Gives back what was claimed and never arrived. The connection is a new one by then: it has fenced the old one off. */
  async function undoClaims(): Promise<void> {
    const doubt = claims.doubt();
    if (doubt === null) return;
    const [rows] = await claimer.run([
      {
        text: `SELECT ${LOOK_COLUMNS} FROM postern.job j WHERE j.session = ANY ($2) AND j.status = 'processing' AND j.claim = ANY ($3)`,
        values: [times.now(), doubt.sessions, doubt.claims],
      },
    ]);
    const rulings = rows!.map((row) => rule(toLooked(row), LOST_ON_THE_WAY, true, limits.maxAttempts));
    const back = await apply(rulings, false, claimer);
    claims.resolved(doubt);
    returned(back);
  }

  // ---- heartbeats and progress ---------------------------------------------------------------------------------------

  const heartbeat = (beats: readonly { readonly session: SessionId; readonly leaseMs: number }[]): Statement => ({
    text: `WITH beat AS (
        UPDATE postern.session s SET lease_until = greatest(s.lease_until, postern.ms_1($3) + g.lease_ms)
        FROM (SELECT session, max(lease_ms) AS lease_ms FROM unnest($1::text[], $2::bigint[]) AS u (session, lease_ms) GROUP BY 1 ORDER BY 1) AS g
        WHERE s.session = g.session
      )
      SELECT j.session, j.id FROM postern.job j WHERE j.session = ANY ($1) AND j.status = 'processing' AND j.cancel_requested`,
    values: [beats.map(({ session }) => session), beats.map(({ leaseMs }) => Math.round(leaseMs)), times.lease()],
  });

  const keyOf = ({ fence }: ProgressItem): string => `${fence.attempt} ${fence.session} ${fence.job}`;

  function progress(items: readonly ProgressItem[]): Statement {
    // The latest of one fence counts.
    const latest = [...new Map(items.map((item) => [keyOf(item), item])).values()];
    const rows = latest.map(({ fence, progress: text }) => ({ ...fence, progress: text }));
    return {
      text: `UPDATE postern.job j SET progress = g.progress
        FROM json_to_recordset($1) AS g (job text, attempt int, session text, progress text)
        WHERE j.id = g.job AND j.status = 'processing' AND j.attempt = g.attempt AND j.session = g.session RETURNING ${jobColumns('j')}`,
      values: [toRows(rows)],
    };
  }

  async function progressOutcomes(items: readonly ProgressItem[], noted: readonly Row[]): Promise<FencedOutcome[]> {
    const jobs = new Map(
      noted.map((row) => toJob(toRecord(row))).map((job) => [`${job.attempt} ${job.session} ${job.id}`, job]),
    );
    const missing = items.filter((item) => !jobs.has(keyOf(item))).map(({ fence }) => fence.job);
    const standing = missing.length === 0 ? null : await reads.standing([...new Set(missing)]);
    return items.map((item) => {
      const job = jobs.get(keyOf(item));
      return job ? { type: 'applied', job } : (standing?.get(item.fence.job) ?? { type: 'unknown' });
    });
  }

  const fenced = (reply: Reply): FencedOutcome[] => [...(reply as Extract<Reply, { type: 'fenced' }>).outcomes];

  return {
    end: async (items: readonly EndItem[]) => fenced(await queue.call({ type: 'end', items })),
    progress: async (items: readonly ProgressItem[]) => fenced(await queue.call({ type: 'progress', items })),
    claim: (requests: readonly ClaimRequest[]): Promise<readonly ClaimReply[]> => claimQueue.call(requests),
    async heartbeat(session: SessionId, leaseMs: number): Promise<JobId[]> {
      const reply = await queue.call({ type: 'heartbeat', session, leaseMs });
      return [...(reply as Extract<Reply, { type: 'cancels' }>).ids];
    },
    /** In its turn, with nothing beside it. */
    alone: <A>(work: () => Promise<A>): Promise<A> => queue.alone(work),
    /** The same, and after the claims that were made before it: they may be of the session that it is about. */
    behindClaims: <A>(work: () => Promise<A>): Promise<A> => claimQueue.alone(() => queue.alone(work)),
    apply,
    async close() {
      await claimQueue.close();
      await queue.close();
    },
  };
}
