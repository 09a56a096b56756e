/**
 * The Store in one SQLite file: what it has accepted survives the death of this process, and a power cut. This file is the
 * driver as the gateway sees it; the writing and the reading happen in two threads of their own, so that neither a flush
 * nor a large answer holds up the sockets. A promise resolves only after the commit that covers it was flushed.
 */
import type { Clock } from '../../clock.ts';
import { PosternError, toPosternError } from '../../errors.ts';
import { silentLogger, type Logger } from '../../logger.ts';
import { createService } from '../../service.ts';
import type { Fence, Job, Outcome } from '../../dispatch/job.ts';
import { diskLimits, type DiskLimits } from '../disk-limits.ts';
import { acceptedJob } from '../../dispatch/accepted.ts';
import { bodyDigest } from '../body-digest.ts';
import { BLOB_GRACE_MS, createCollector } from '../collect.ts';
import type { PayloadBlobs } from '../payload-blobs.ts';
import { parseCursor } from '../cursor.ts';
import type { Claimed, FencedOutcome, Store, SubmitOutcome, SubmittedJob } from '../store.ts';
import type { ClaimReply, FencedReply, NewRow, ReaderCalls, StoredOutcome, SubmitReply, WriterCalls } from './calls.ts';
import { createSqliteDeliveries } from './deliveries.ts';
import type { WriterOptions } from './options.ts';
import { createPayloads, NO_BYTES, stored } from './payloads.ts';
import { toJob, type JobRow } from './rows.ts';
import { createThread, type Thread } from './thread.ts';
import type { LogState } from './wire.ts';

export interface SqliteStoreOptions extends Partial<DiskLimits> {
  readonly clock: Clock;
  /** The file; `-wal`, `-shm` and `-role` are put beside it. Its folder is made when it is missing. */
  readonly path: string;
  /** For payloads over 64 KiB. Not started or stopped here. */
  readonly blobs: PayloadBlobs;
  /** How long a blob that no row names is kept. */
  readonly blobGraceMs?: number;
  readonly logger?: Logger;
  /** Where the writer and the reader run: two threads of this process, unless a simulation has its own. */
  readonly openThreads?: OpenThreads;
}

export interface SqliteThreads {
  readonly writer: Thread<WriterCalls>;
  readonly reader: Thread<ReaderCalls>;
}

export type OpenThreads = (data: WriterOptions, clock: Clock, onLog: (log: LogState) => void) => SqliteThreads;

const openOwnThreads: OpenThreads = (data, clock, onLog) => ({
  writer: createThread({ file: new URL('./writer-thread.ts', import.meta.url), data, clock, onLog }),
  reader: createThread({ file: new URL('./reader-thread.ts', import.meta.url), data, clock, onLog }),
});

interface End {
  readonly fence: Fence;
  readonly outcome: Outcome;
}

export function createSqliteStore(options: SqliteStoreOptions): Store {
  const { clock, blobs, logger = silentLogger } = options;
  const data: WriterOptions = { path: options.path, ...diskLimits(options) };
  const { writer, reader } = (options.openThreads ?? openOwnThreads)(data, clock, onLog);
  const payloads = createPayloads(blobs);
  const collector = createCollector({
    blobs,
    clock,
    graceMs: options.blobGraceMs ?? BLOB_GRACE_MS,
    names: {
      unnamed: (after, limit) => reader.call('unnamed', { after, limit }),
      isNamed: (key) => reader.call('isNamed', key),
      dropUnnamed: (keys) => writer.call('dropUnnamed', keys),
    },
  });
  let checkpoint: Promise<unknown> | null = null;

  function onLog({ wantsCheckpoint, trouble }: LogState): void {
    if (trouble !== null) logger.error('a checkpoint of the store failed', { error: trouble });
    if (!wantsCheckpoint) return;
    checkpoint ??= reader
      .call('checkpoint', null)
      .catch((error: unknown) => logFailure('a checkpoint of the store failed', error))
      .finally(() => (checkpoint = null));
  }

  function logFailure(message: string, error: unknown): void {
    logger.error(message, { error: toPosternError(error).message });
  }

  // ---- submit ------------------------------------------------------------------------------------------------------

  function newRow(job: SubmittedJob, blob: string | null): NewRow {
    const { bytes, contentType } = job.input;
    // What is in a blob is named by its digest already.
    const body = blob === null ? job : { ...job, input: { contentType, bytes: Buffer.from(blob) } };
    return {
      id: job.id,
      model: job.model,
      version: job.version ?? '',
      contentType,
      parameters: JSON.stringify(job.parameters),
      rows: job.rows,
      priority: job.priority,
      caller: job.caller,
      maxUndecidedJobs: job.maxUndecidedJobs ?? null,
      deadlineAt: job.deadlineAt,
      idempotencyKey: job.idempotencyKey,
      digest: job.idempotencyKey === null ? null : bodyDigest(body),
      webhook: job.webhook === null ? null : JSON.stringify(job.webhook),
      input: stored(bytes, blob, writer.attach),
    };
  }

  async function submitLarge(job: SubmittedJob, put: () => Promise<string>): Promise<SubmitOutcome> {
    const { model, caller, idempotencyKey, input, maxUndecidedJobs = null } = job;
    // Asked first: a refusal must not cost the disk twenty megabytes.
    const bytes = input.bytes.byteLength;
    const refusal = await reader.call('refusal', { model, bytes, caller, idempotencyKey, maxUndecidedJobs });
    if (refusal) return submitted(job, refusal);
    const blob = await put();
    const [reply] = await writer.call('submit', [newRow(job, blob)]);
    return submitted(job, reply!);
  }

  async function submitSmall(jobs: readonly SubmittedJob[]): Promise<SubmitOutcome[]> {
    const rows = jobs.map((job) => newRow(job, null));
    const replies = await writer.call('submit', rows);
    const outcomes: SubmitOutcome[] = [];
    // One after the other: all but the rare `existing` are ready at once.
    for (const [index, reply] of replies.entries()) {
      const outcome = submitted(jobs[index]!, reply);
      outcomes.push(outcome instanceof Promise ? await outcome : outcome);
    }
    return outcomes;
  }

  function submitted(job: SubmittedJob, reply: SubmitReply): SubmitOutcome | Promise<SubmitOutcome> {
    switch (reply.type) {
      case 'accepted':
        return { type: 'accepted', job: acceptedJob(job, reply.createdAt) };
      case 'existing':
        return payloads.withOutput(reply.row).then((existing) => ({ type: 'existing', job: existing }));
      case 'refused':
        return { type: 'refused', error: new PosternError(reply.code, reply.message) };
    }
  }

  // ---- claim -------------------------------------------------------------------------------------------------------

  async function claimed({ rows, ...left }: ClaimReply): Promise<Claimed> {
    if (!rows.some(payloads.hasBlob)) return { jobs: rows.map(payloads.inline), ...left };
    const jobs = await Promise.all(rows.map(readInput));
    return { jobs: jobs.filter((job) => job !== null), ...left };
  }

  /** Null when the input cannot be read: that job fails, the others go on. */
  async function readInput(row: JobRow): Promise<Job | null> {
    try {
      return await payloads.withInput(row);
    } catch (error) {
      const { id, attempt, session } = toJob(row, NO_BYTES, null);
      logFailure('an input cannot be read: its job fails', error);
      const failure = {
        type: 'failed',
        error: { code: 'internal', message: 'the input was lost' },
        retryable: false,
      } as const;
      await writer.call('settle', [{ fence: { job: id, attempt, session: session ?? '' }, outcome: failure }]);
      return null;
    }
  }

  // ---- settle ------------------------------------------------------------------------------------------------------

  function storedOutcome(outcome: Outcome, blob: string | null): StoredOutcome {
    if (outcome.type !== 'succeeded') return outcome;
    const { output, timings } = outcome;
    return {
      type: 'succeeded',
      contentType: output.contentType,
      output: stored(output.bytes, blob, writer.attach),
      timings: JSON.stringify(timings),
    };
  }

  async function settleSome(ends: readonly End[], blob: string | null): Promise<FencedOutcome[]> {
    const calls = ends.map(({ fence, outcome }) => ({ fence, outcome: storedOutcome(outcome, blob) }));
    const replies = await writer.call('settle', calls);
    return fencedOutcomes(replies, (index) => ends[index]!.outcome);
  }

  async function fencedOutcomes(
    replies: readonly FencedReply[],
    outcomeOf: (index: number) => Outcome | null,
  ): Promise<FencedOutcome[]> {
    const outcomes: FencedOutcome[] = [];
    // One after the other: all but the rare `settled` are ready at once.
    for (const [index, reply] of replies.entries()) {
      const outcome = fencedOutcome(reply, outcomeOf(index));
      outcomes.push(outcome instanceof Promise ? await outcome : outcome);
    }
    return outcomes;
  }

  function fencedOutcome(reply: FencedReply, outcome: Outcome | null): FencedOutcome | Promise<FencedOutcome> {
    if (reply.type === 'stale' || reply.type === 'unknown') return reply;
    if (reply.type === 'settled') return payloads.withOutput(reply.row).then((job) => ({ type: 'settled', job }));
    const job = toJob(reply.row, NO_BYTES, null);
    // The output that was just written is at hand: it need not come back from the disk.
    const output = outcome?.type === 'succeeded' ? outcome.output : null;
    return { type: 'applied', job: { ...job, output } };
  }

  /** Small ones in one call, large ones each on its own: nobody waits for another's blob. */
  async function eachPart<T, R>(
    items: readonly T[],
    put: (item: T) => (() => Promise<string>) | null,
    together: (small: readonly T[]) => Promise<R[]>,
    alone: (large: T, put: () => Promise<string>) => Promise<R>,
  ): Promise<R[]> {
    const puts = items.map(put);
    if (puts.every((one) => one === null)) return together(items);
    const small = items.filter((_, index) => puts[index] === null);
    const [smallResults, largeResults] = await Promise.all([
      small.length === 0 ? [] : together(small),
      Promise.all(items.flatMap((item, index) => (puts[index] ? [alone(item, puts[index])] : []))),
    ]);
    let [nextSmall, nextLarge] = [0, 0];
    return puts.map((one) => (one === null ? smallResults[nextSmall++]! : largeResults[nextLarge++]!));
  }

  const bareJobs = (rows: readonly JobRow[]): Job[] => rows.map((row) => toJob(row, NO_BYTES, null));

  const service = createService({
    async start() {
      // The writer first: it makes the tables.
      await writer.start();
      await reader.start();
    },
    async stop() {
      await collector.stop();
      await checkpoint;
      // The writer last: the last one to close a file tidies it up.
      await reader.stop();
      await writer.stop();
    },
  });

  return {
    ...service,
    durable: true,
    submit: (jobs) => eachPart(jobs, ({ input }) => payloads.keep(input), submitSmall, submitLarge),
    claim: async (requests) => Promise.all((await writer.call('claim', requests)).map(claimed)),
    heartbeat: (session, leaseMs) => writer.call('heartbeat', { session, leaseMs }),
    async progress(updates) {
      const calls = updates.map(({ fence, fraction, message }) => {
        return { fence, progress: JSON.stringify({ fraction, message }) };
      });
      return fencedOutcomes(await writer.call('progress', calls), () => null);
    },
    settle: (ends) =>
      eachPart(
        ends,
        ({ outcome }) => (outcome.type === 'succeeded' ? payloads.keep(outcome.output) : null),
        (small) => settleSome(small, null),
        async (large, put) => (await settleSome([large], await put()))[0]!,
      ),
    async cancel(id) {
      const row = await writer.call('cancel', id);
      return row === null ? null : payloads.withOutput(row);
    },
    release: async (session, loss) => bareJobs(await writer.call('release', { session, loss })),
    async reconcile(session, held) {
      const { kept, lost } = await writer.call('reconcile', { session, held });
      return { kept: bareJobs(kept), lost: bareJobs(lost) };
    },
    async sweep(limit) {
      const { hasRole, reclaimed, expired, forgotten } = await writer.call('sweep', limit);
      if (hasRole) collector.run().catch((error: unknown) => logFailure('unused blobs could not be removed', error));
      return { claims: hasRole, reclaimed: bareJobs(reclaimed), expired: bareJobs(expired), forgotten };
    },
    async stopClaiming() {
      await writer.call('yieldRole', null);
    },
    async get(id) {
      const row = await reader.call('get', id);
      return row === null ? null : payloads.withOutput(row);
    },
    async failedInput(id) {
      const row = await reader.call('failedInput', id);
      return row === null ? null : (await payloads.withInput(row)).input;
    },
    async dropFailedInputs(ids) {
      const dropped = ids.length === 0 ? [] : await writer.call('dropFailedInputs', ids);
      await collector.removeDropped(dropped);
      return dropped.map(({ id }) => id);
    },
    async list({ limit, cursor, status, model, caller }) {
      const beforeSeq = cursor === null ? null : parseCursor(cursor);
      const { rows, nextBeforeSeq } = await reader.call('list', {
        limit,
        beforeSeq,
        status: status ?? null,
        model: model ?? null,
        caller: caller ?? null,
      });
      const jobs = await Promise.all(rows.map((row) => payloads.withOutput(row)));
      return { jobs, next: nextBeforeSeq === null ? null : String(nextBeforeSeq) };
    },
    counts: async () => new Map(await reader.call('counts', null)),
    async oldestWaiting() {
      const found = await reader.call('oldestWaiting', null);
      const now = clock.now();
      return new Map(found.map(([model, createdAt]) => [model, Math.max(0, now - createdAt)]));
    },
    decidedAmong: (ids) => (ids.length === 0 ? Promise.resolve([]) : reader.call('decidedAmong', ids)),
    async probe() {
      await writer.call('probe', null);
    },
    knownModels: () => reader.call('knownModels', null),
    async rememberModels(models) {
      await writer.call('rememberModels', models);
    },
    queuePosition: (id) => reader.call('queuePosition', id),
    deliveries: createSqliteDeliveries({ reader, writer, blobs }),
  };
}
