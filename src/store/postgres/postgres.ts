/**
 * The Store in PostgreSQL, which several gateways share: what it has accepted is committed, and survives whatever the database survives.
 * Every promise resolves after the commit that covers it. Of its writing connections one takes submissions, one claims and one
 * everything else, because none waits for what another does; readers have their own.
 *
 * There is no role: every gateway claims and sweeps. What they do at once is kept apart by the rows themselves (`SKIP LOCKED`, fences,
 * epochs), bounds by advisory locks, and leases by the database's clock: see `migrations/0002-steps.sql`.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { PosternError, toPosternError } from '../../errors.ts';
import { silentLogger } from '../../logger.ts';
import { createService } from '../../service.ts';
import { TERMINAL } from '../../dispatch/job.ts';
import { diskLimits } from '../disk-limits.ts';
import type { Fence, Job, Outcome } from '../../dispatch/job.ts';
import { BLOB_GRACE_MS, createCollector } from '../collect.ts';
import { MAX_KNOWN_MODELS } from '../known-models.ts';
import type { Claimed, FencedOutcome, Store } from '../store.ts';
import { createClaims, type ClaimedRow, type ClaimReply } from './claims.ts';
import { createConnection, type Row } from './connection.ts';
import { createEnds, type EndItem } from './ends.ts';
import { createFailedInputs } from './failed-inputs.ts';
import { createFiles } from './files.ts';
import { createHints } from './hints.ts';
import { createLiveness } from './liveness.ts';
import { createMembers } from './members.ts';
import { migrate, schemaState } from './migrate.ts';
import { SLOTS, type PostgresStoreOptions, type Times } from './options.ts';
import { createOutbox } from './outbox.ts';
import { createPayloads } from './payloads.ts';
import { createRead, createReads, type Read } from './reads.ts';
import { toJob, toRows } from './rows.ts';
import { createSubmits } from './submits.ts';
import { createSweeps } from './sweeps.ts';
import { createTurns } from './turns.ts';

const CONNECT_MS = 5_000;
const ANSWER_MS = 15_000;
/** With a health check's second or two, callers are with another gateway within 5 s. */
const SILENT_MS = 3_000;
const READERS = 3;
const WRITERS = 3;
const NOTHING_CLAIMED: Claimed = { jobs: [], leftRows: 0, soloJobs: 0 };

export function createPostgresStore(options: PostgresStoreOptions): Store {
  const { clock, blobs, logger = silentLogger, time } = options;
  const limits = diskLimits(options);
  const times: Times = {
    now: () => (time ? time.now() : null),
    lease: () => (time ? Math.floor(time.monotonic()) : null),
  };
  const liveness = createLiveness({
    clock,
    logger,
    silentMs: options.silentMs ?? SILENT_MS,
    ping: () => read('SELECT 1'),
  });
  const { unlessSilent } = liveness;
  const wire = {
    url: options.url,
    clock,
    meter: options.meter ?? { statements: 0, transactions: 0 },
    connectMs: options.connectMs ?? CONNECT_MS,
    answerMs: options.answerMs ?? ANSWER_MS,
    listener: liveness,
  };
  /** One for each writing connection: see `migrations/0001-tables.sql`. */
  const slot = randomInt(SLOTS / WRITERS) * WRITERS;
  const claims = createClaims(times, slot + 2);
  const writer = createConnection(wire);
  const claimer = createConnection({ ...wire, onConnect: (run) => claims.fence(run) });
  const submitter = createConnection(wire);
  const readers = Array.from({ length: READERS }, () => createConnection(wire));
  const read: Read = createRead(readers, clock);
  const payloads = createPayloads(blobs);
  const reads = createReads(read, payloads, times);
  const ends = createEnds(limits, times, slot);
  const hints = createHints({
    listen: { ...wire, url: options.listenUrl ?? options.url },
    read,
    clock,
    logger,
    self: randomBytes(8).toString('hex'),
  });
  const turns = createTurns({ connection: writer, claimer, ends, claims, reads, times, limits, returned: cameBack });
  const sweeps = createSweeps({ connection: writer, turns, ends, reads, limits, times, slot, logger });
  const submits = createSubmits({ connection: submitter, read, reads, payloads, limits, times, slot: slot + 1 });
  const write = async (text: string, values: readonly unknown[]): Promise<Row[]> =>
    (await writer.run([{ text, values }]))[0]!;
  const failedInputs = createFailedInputs({ write, slot });
  const collector =
    blobs === null
      ? null
      : createCollector({
          blobs,
          clock,
          graceMs: options.blobGraceMs ?? BLOB_GRACE_MS,
          names: {
            unnamed: async (after, limit) =>
              (
                await read('SELECT key FROM postern.unnamed_blob WHERE key > $1 ORDER BY key LIMIT $2', [after, limit])
              ).map(([key]) => key as string),
            isNamed: async (key) =>
              (
                await read(
                  `SELECT EXISTS (SELECT 1 FROM postern.input WHERE blob = $1) OR EXISTS (SELECT 1 FROM postern.output WHERE blob = $1)
                     OR EXISTS (SELECT 1 FROM postern.delivery WHERE output_blob = $1)`,
                  [key],
                )
              )[0]![0] === true,
            dropUnnamed: (keys) => read('DELETE FROM postern.unnamed_blob WHERE key = ANY ($1)', [keys]),
          },
        });
  let isClaiming = true;

  /** Tells the other gateways what became of jobs. */
  function cameBack(jobs: readonly Job[]): void {
    hints.decided(jobs.filter(({ status }) => TERMINAL.has(status)).map(({ id }) => id));
    hints.waiting(jobs.filter(({ status }) => status === 'starting').map(({ model }) => model));
  }

  const applied = (outcomes: readonly FencedOutcome[]): Job[] =>
    outcomes.flatMap((outcome) => (outcome.type === 'applied' ? [outcome.job] : []));

  // ---- claim -------------------------------------------------------------------------------------------------------

  async function claimed({ rows, leftRows, soloJobs }: ClaimReply): Promise<Claimed> {
    const jobs: Job[] = [];
    for (const one of rows) {
      const job = one.blob === null ? toJob(one.row, one.bytes ?? undefined) : await withBlob(one);
      if (job !== null) jobs.push(job);
    }
    return { jobs, leftRows, soloJobs };
  }

  /** Null when the input cannot be read: that job fails, the others go on. */
  async function withBlob({ row, bytes, blob }: ClaimedRow): Promise<Job | null> {
    try {
      return toJob(row, await payloads.read(bytes, blob));
    } catch (error) {
      logger.error('an input cannot be read: its job fails', { error: toPosternError(error).message });
      const lost = { code: 'internal', message: 'the input was lost' } as const;
      const fence = { job: row.id, attempt: row.attempt, session: row.session ?? '' };
      await turns.end([{ fence, outcome: { type: 'failed', error: lost, retryable: false }, blob: null }]);
      return null;
    }
  }

  async function withPlace({ fence, outcome }: { fence: Fence; outcome: Outcome }): Promise<EndItem> {
    const put = outcome.type === 'succeeded' ? payloads.keep(outcome.output.bytes) : null;
    return { fence, outcome, blob: put === null ? null : await put() };
  }

  const service = createService({
    async start() {
      // Steps that only add: gateways of the release before go on beside them.
      await submitter.transaction((run) => migrate(run));
      const { refusal } = await schemaState(submitter.run);
      if (refusal !== null) throw new PosternError('config_invalid', refusal);
      hints.start();
    },
    async stop() {
      liveness.stop();
      await collector?.stop();
      await Promise.all([turns.close(), submits.close()]);
      await hints.stop();
      const { text, values } = claims.forgetWriter();
      await write(text, values).catch(() => undefined);
      await Promise.all([writer, claimer, submitter, ...readers].map((one) => one.stop()));
    },
  });

  return {
    ...service,
    durable: true,
    fault: liveness.fault,
    submit: (jobs) => unlessSilent(() => submits.submit(jobs)),
    async claim(requests) {
      if (!isClaiming) return requests.map(() => NOTHING_CLAIMED);
      return Promise.all((await turns.claim(requests)).map(claimed));
    },
    heartbeat: (session, leaseMs) => turns.heartbeat(session, leaseMs),
    progress: (updates) =>
      turns.progress(
        updates.map(({ fence, fraction, message }) => ({ fence, progress: JSON.stringify({ fraction, message }) })),
      ),
    async settle(given) {
      const isSmall = given.every(
        ({ outcome }) => outcome.type !== 'succeeded' || payloads.keep(outcome.output.bytes) === null,
      );
      const outcomes = isSmall
        ? await turns.end(given.map((one) => ({ ...one, blob: null })))
        : // Each on its own: nobody waits for another's blob.
          (await Promise.all(given.map(async (one) => turns.end([await withPlace(one)])))).flat();
      cameBack(applied(outcomes));
      return outcomes;
    },
    async cancel(id) {
      const job = await unlessSilent(() => sweeps.cancel(id));
      if (job !== null) cameBack([job]);
      return job;
    },
    async release(session, loss) {
      const jobs = await sweeps.release(session, loss);
      cameBack(jobs);
      return jobs;
    },
    async reconcile(session, held) {
      const reconciled = await sweeps.reconcile(session, held);
      cameBack(reconciled.lost);
      return reconciled;
    },
    async sweep(limit) {
      if (!isClaiming) return { claims: false, reclaimed: [], expired: [], forgotten: 0 };
      const swept = await sweeps.sweep(limit);
      cameBack([...swept.reclaimed, ...swept.expired]);
      collector?.run().catch((error: unknown) => {
        logger.error('unused blobs could not be removed', { error: toPosternError(error).message });
      });
      return swept;
    },
    stopClaiming() {
      isClaiming = false;
      return Promise.resolve();
    },
    get: (id) => unlessSilent(() => reads.get(id)),
    failedInput: (id) => unlessSilent(() => reads.failedInput(id)),
    async dropFailedInputs(ids) {
      const dropped = ids.length === 0 ? [] : await turns.alone(() => failedInputs.drop(ids));
      await collector?.removeDropped(dropped);
      return dropped.map(({ id }) => id);
    },
    list: (request) => unlessSilent(() => reads.list(request)),
    counts: () => unlessSilent(() => reads.counts()),
    oldestWaiting: () => unlessSilent(() => reads.oldestWaiting()),
    decidedAmong: (ids) => reads.decidedAmong(ids),
    queuePosition: (id) => unlessSilent(() => reads.queuePosition(id)),
    knownModels: () => reads.knownModels(),
    async probe() {
      await turns.alone(() => write('UPDATE postern.probe SET count = count + 1', []));
    },
    async rememberModels(models) {
      const rows = models.map((one) => ({ ...one, versions: JSON.stringify(one.versions) }));
      await turns.alone(() =>
        writer.run([
          {
            text: `INSERT INTO postern.known_model AS own
              SELECT x.name, x.report, x.versions, x."lastSeenAt" FROM json_to_recordset($1) AS x
                (name text, report text, versions text, "lastSeenAt" bigint) ORDER BY x.name
              ON CONFLICT (name) DO UPDATE SET report = excluded.report, versions = excluded.versions,
                last_seen_at = greatest(own.last_seen_at, excluded.last_seen_at)`,
            values: [toRows(rows)],
          },
          {
            text: `DELETE FROM postern.known_model WHERE last_seen_at <= postern.ms_1($1) - $2 OR name IN
              (SELECT name FROM postern.known_model ORDER BY last_seen_at DESC, name OFFSET $3)`,
            values: [times.now(), limits.modelTtlMs, MAX_KNOWN_MODELS],
          },
        ]),
      );
    },
    deliveries: createOutbox({ read, write, turns, payloads, times, slot }),
    tellWaiting: (models) => hints.waiting(models),
    onHint: (listener) => hints.onHint(listener),
    files: createFiles({ read: (text, values) => unlessSilent(() => read(text, values)), times }),
    members: createMembers({ read, hints, times }),
  };
}
