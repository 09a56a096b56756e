/**
 * The Store in this process's memory: nothing survives it, everything else holds. Owner of all entries. Each call runs to
 * its end before another begins (no awaits inside), which is what makes every element atomic.
 *
 * A job is in exactly one place: waiting (its model's queue and the expiry heap), processing (its holder's set, and the
 * heap when it has a deadline), or decided (a line of results, first in first out). `enterQueue`, `hold` and `decide` are
 * the only ways in; `leave` is the only way out.
 */
import { createService } from '../service.ts';
import { PosternError } from '../errors.ts';
import { DEFAULT_MAX_ATTEMPTS, DEFAULT_QUEUE_LIMIT, DEFAULT_WAIT_TTL_MS } from '../dispatch/job.ts';
import type { Fence, Job, JobError, JobId, Outcome, SessionId } from '../dispatch/job.ts';
import { LEASE_LOST, LOST_ON_THE_WAY, RAN_TOO_LONG, sessionEnded, WAITED_TOO_LONG } from '../dispatch/endings.ts';
import { move } from '../dispatch/states.ts';
import { isSuspect, verdict } from '../dispatch/verdict.ts';
import { bodyDigest } from './body-digest.ts';
import { parseCursor } from './cursor.ts';
import { createExpiryHeap } from './expiry-heap.ts';
import { createDeferredList } from './memory-deferred.ts';
import { createEntry, read, type Entry, type Holder, type ModelState, type Stored } from './memory-entry.ts';
import { createMemoryFailedInputs } from './memory-failed-inputs.ts';
import { createMemoryKnownModels } from './memory-known-models.ts';
import { DEFAULT_MODEL_TTL_MS } from './known-models.ts';
import { listPage } from './memory-list.ts';
import { createMemoryQueue, oldestAges } from './memory-queue.ts';
import { createMemoryResults } from './memory-results.ts';
import type { MemoryStoreOptions } from './memory-options.ts';
import { createMemoryOutbox } from './memory-outbox.ts';
import { createOrderedList } from './ordered-list.ts';
import { overQuota } from './quota.ts';
import type { Claimed, ClaimRequest, FencedOutcome, Store, SubmittedJob, SubmitOutcome } from './store.ts';
import { TOO_MANY_DELIVERIES } from './deliveries.ts';

const HOUR_MS = 60 * 60 * 1000;
/** Jobs that one call puts back in line; the next one sees the rest. */
const MAX_PROMOTED = 1_000;
const NO_BYTES = new Uint8Array(0);
export function createMemoryStore(options: MemoryStoreOptions): Store {
  const { clock } = options;
  const queueLimitJobs = options.queueLimitJobs ?? DEFAULT_QUEUE_LIMIT;
  const maxAttempts = options.maxAttempts ?? DEFAULT_MAX_ATTEMPTS;
  const waitTtlMs = options.waitTtlMs ?? DEFAULT_WAIT_TTL_MS;
  const maxInputBytes = options.maxInputBytes ?? 512 * 1024 * 1024;

  const entries = new Map<JobId, Stored>();
  const models = new Map<string, ModelState>();
  const holders = new Map<SessionId, Holder>();
  const keys = new Map<string, Stored>();
  const expiries = createExpiryHeap<Entry>();
  const deferred = createDeferredList<Entry>();
  const known = createMemoryKnownModels(options.modelTtlMs ?? DEFAULT_MODEL_TTL_MS);
  const newest = createOrderedList<Pick<Stored, 'seq'>>((a, b) => a.seq - b.seq);
  const results = createMemoryResults({
    clock,
    resultTtlMs: options.resultTtlMs ?? HOUR_MS,
    idempotencyTtlMs: options.idempotencyTtlMs ?? 24 * HOUR_MS,
    maxResults: options.maxResults ?? 100_000,
    maxResultBytes: options.maxResultBytes ?? 256 * 1024 * 1024,
    forget,
  });
  const maxFailedInputBytes = options.maxResults === 0 ? 0 : (options.maxFailedInputBytes ?? 32 * 1024 * 1024);
  const failedInputs = createMemoryFailedInputs(maxFailedInputBytes);
  /** Undecided jobs of each caller; those with none are left out. */
  const undecided = new Map<string, number>();
  const outbox = createMemoryOutbox({
    clock,
    maxPending: options.maxDeliveries ?? 10_000,
    maxBytes: options.maxDeliveryBytes ?? 64 * 1024 * 1024,
  });
  let nextSeq = 1;
  let inputBytes = 0;

  function modelOf(name: string): ModelState {
    let found = models.get(name);
    if (!found) models.set(name, (found = { queue: createMemoryQueue(), processingJobs: 0 }));
    return found;
  }

  // ---- the three places, and the way out -------------------------------------------------------------------------

  function enterQueue(entry: Entry): void {
    const { nextAttemptAt, solo } = entry.job;
    if (nextAttemptAt !== null) {
      entry.notBefore = nextAttemptAt;
      deferred.put(entry);
    }
    entry.model.queue.add(entry, nextAttemptAt !== null ? 'deferred' : solo ? 'solo' : 'line');
    const ttlEnd = entry.job.createdAt + waitTtlMs;
    entry.expiresAt = Math.min(entry.job.deadlineAt ?? Infinity, ttlEnd);
    expiries.put(entry);
  }

  function hold(entry: Entry, holder: Holder): void {
    entry.holder = holder;
    holder.attempts.add(entry.stored);
    entry.model.processingJobs += 1;
    if (entry.job.deadlineAt === null) expiries.remove(entry);
    else {
      entry.expiresAt = entry.job.deadlineAt;
      expiries.put(entry);
    }
  }

  /** Takes a live entry out of whichever place it is in. */
  function leave(entry: Entry): void {
    if (entry.holder === null) {
      if (entry.place === 'deferred') deferred.remove(entry);
      entry.model.queue.remove(entry);
    } else {
      entry.holder.attempts.delete(entry.stored);
      if (entry.job.cancelRequested) entry.holder.cancels.delete(entry.job.id);
      entry.holder = null;
      entry.model.processingJobs -= 1;
    }
    expiries.remove(entry);
  }

  /** Puts the jobs whose time has come back in line. */
  function promote(limit: number): void {
    for (let n = 0; n < limit; n += 1) {
      const next = deferred.takeDue(clock.now());
      if (next === null) return;
      next.model.queue.remove(next);
      next.job = { ...next.job, nextAttemptAt: null };
      next.model.queue.add(next, next.job.solo ? 'solo' : 'line');
    }
  }

  type Decision = Pick<Job, 'status' | 'output' | 'error' | 'timings'>;
  function decide(entry: Entry, decision: Decision): Job {
    leave(entry);
    inputBytes -= entry.inputBytes;
    countUndecided(entry.job.caller, -1);
    const { job } = entry;
    const input = { contentType: job.input.contentType, bytes: NO_BYTES };
    const decided: Job = { ...job, ...decision, input, nextAttemptAt: null, completedAt: clock.now() };
    failedInputs.add(decided, job.input);
    results.add(entry.stored, decided);
    outbox.record(decided, 'completed');
    return decided;
  }

  function countUndecided(caller: string, change: 1 | -1): void {
    const count = (undecided.get(caller) ?? 0) + change;
    if (count > 0) undecided.set(caller, count);
    else undecided.delete(caller);
  }

  function forget(stored: Stored): void {
    entries.delete(stored.id);
    newest.remove(stored);
    failedInputs.drop(stored.id);
    if (stored.key !== null) keys.delete(stored.key);
  }

  // ---- the steps ---------------------------------------------------------------------------------------------------

  function submitOne(job: SubmittedJob): SubmitOutcome {
    let digest: string | null = null;
    const key = job.idempotencyKey === null ? null : `${job.caller}\n${job.idempotencyKey}`;
    if (key !== null) {
      digest = bodyDigest(job);
      const earlier = keys.get(key);
      if (earlier?.digest === digest) return { type: 'existing', job: read(earlier) };
      if (earlier) return refused('idempotency_mismatch', 'the key came before with another body: use a new key');
    }
    const quota = job.maxUndecidedJobs ?? Infinity;
    if ((undecided.get(job.caller) ?? 0) >= quota) return refused('quota_exceeded', overQuota(quota));
    const model = modelOf(job.model);
    if (model.queue.jobs >= queueLimitJobs) {
      return refused('queue_full', `${queueLimitJobs} jobs wait for ${job.model}, which is the limit: try again later`);
    }
    if (inputBytes + job.input.bytes.byteLength > maxInputBytes) {
      return refused('overloaded', `the inputs of waiting jobs fill ${maxInputBytes} bytes: try again later`);
    }
    if (job.webhook !== null && outbox.isFull()) return refused('overloaded', TOO_MANY_DELIVERIES);
    if (entries.has(job.id)) return refused('internal', `the job id ${job.id} was used before`);
    const entry = createEntry(job, { seq: nextSeq++, model, key, digest, nowMs: clock.now() });
    inputBytes += entry.inputBytes;
    countUndecided(job.caller, 1);
    const { stored } = entry;
    entries.set(job.id, stored);
    newest.insert(stored);
    if (key !== null) keys.set(key, stored);
    model.queue.tag(entry);
    enterQueue(entry);
    return { type: 'accepted', job: entry.job };
  }

  function claimOne(request: ClaimRequest): Claimed {
    const model = models.get(request.model);
    if (!model) return { jobs: [], leftRows: 0, soloJobs: 0 };
    const { queue } = model;
    const { maxRows, capacityRows } = request;
    const left = () => ({ leftRows: queue.rowsFor(request), soloJobs: queue.soloJobsFor(request) });
    const one = request.solo ? queue.takeSolo(request, maxRows, capacityRows) : null;
    const taken = request.solo ? (one ? [one] : []) : queue.take(request, maxRows, capacityRows);
    if (taken.length === 0) return { jobs: [], ...left() };
    let holder = holders.get(request.session);
    if (!holder) {
      holder = { worker: request.worker, leaseUntil: 0, attempts: new Set(), cancels: new Set() };
      holders.set(request.session, holder);
    }
    holder.leaseUntil = Math.max(holder.leaseUntil, clock.monotonic() + request.leaseMs);
    const startedAt = clock.now();
    const jobs: Job[] = [];
    for (const entry of taken) {
      entry.job = {
        ...entry.job,
        status: move('starting', 'claim'),
        startedAt,
        attempt: entry.job.attempt + 1,
        worker: request.worker,
        session: request.session,
        servedVersion: request.version,
        progress: null,
      };
      hold(entry, holder);
      if (entry.job.attempt === 1) outbox.record(entry.job, 'start');
      jobs.push(entry.job);
    }
    return { jobs, ...left() };
  }

  /** The entry, when the fence may write to it; otherwise why not. */
  function fenced(fence: Fence): Entry | Exclude<FencedOutcome, { type: 'applied' }> {
    const stored = entries.get(fence.job);
    if (!stored) return { type: 'unknown' };
    const { live: entry } = stored;
    if (entry === null) return { type: 'settled', job: read(stored) };
    const { job } = entry;
    const owns = job.status === 'processing' && job.attempt === fence.attempt && job.session === fence.session;
    return owns ? entry : { type: 'stale' };
  }

  /** `alone`: the session held nothing else. */
  function end(entry: Entry, outcome: Outcome, alone = true): Job {
    const { job, spentAttempts, suspicion } = entry;
    const { id, attempt, cancelRequested, worker, pastAttempts: past } = job;
    const nowMs = clock.now();
    const ruling = verdict(
      { job: id, attempt, spentAttempts, suspicion, alone, cancelRequested, worker: worker ?? '', past, nowMs },
      outcome,
      maxAttempts,
    );
    switch (ruling.type) {
      case 'succeed': {
        const { output, timings } = outcome as Extract<Outcome, { type: 'succeeded' }>;
        return decide(entry, {
          status: move('processing', 'succeed'),
          output,
          error: null,
          timings,
        });
      }
      case 'fail':
        entry.job = { ...job, pastAttempts: ruling.past };
        return decide(entry, undelivered(move('processing', 'fail'), ruling.error));
      case 'cancel':
        return decide(entry, undelivered(move('processing', 'cancel'), null));
      case 'requeue':
        leave(entry);
        entry.spentAttempts = ruling.spentAttempts;
        entry.suspicion = ruling.suspicion;
        entry.job = {
          ...job,
          status: move('processing', 'requeue'),
          session: null,
          progress: null,
          nextAttemptAt: ruling.delayMs === 0 ? null : nowMs + ruling.delayMs,
          solo: isSuspect(ruling.suspicion),
          pastAttempts: ruling.past,
        };
        enterQueue(entry);
        return entry.job;
    }
  }

  function cancelOne(stored: Stored): Job {
    const { live } = stored;
    if (live === null) return read(stored);
    if (live.holder === null) return decide(live, undelivered(move('starting', 'cancel'), null));
    if (!live.job.cancelRequested) {
      live.job = { ...live.job, cancelRequested: true };
      live.holder.cancels.add(stored.id);
    }
    return live.job;
  }

  function expire(entry: Entry): Job {
    return entry.holder === null
      ? decide(entry, undelivered(move('starting', 'expire'), WAITED_TOO_LONG))
      : decide(entry, undelivered(move('processing', 'expire'), RAN_TOO_LONG));
  }

  const service = createService({ start: () => Promise.resolve(), stop: () => Promise.resolve() });

  return {
    ...service,
    durable: false,
    submit: (jobs) => Promise.resolve(jobs.map(submitOne)),
    claim(requests) {
      promote(MAX_PROMOTED);
      return Promise.resolve(requests.map(claimOne));
    },
    heartbeat(session, leaseMs) {
      const holder = holders.get(session);
      if (!holder) return Promise.resolve([]);
      holder.leaseUntil = Math.max(holder.leaseUntil, clock.monotonic() + leaseMs);
      return Promise.resolve([...holder.cancels]);
    },
    progress(updates) {
      const outcomes = updates.map(({ fence, fraction, message }): FencedOutcome => {
        const entry = fenced(fence);
        if ('type' in entry) return entry;
        entry.job = { ...entry.job, progress: { fraction, message } };
        return { type: 'applied', job: entry.job };
      });
      return Promise.resolve(outcomes);
    },
    settle(ends) {
      const outcomes = ends.map(({ fence, outcome }): FencedOutcome => {
        const entry = fenced(fence);
        return 'type' in entry ? entry : { type: 'applied', job: end(entry, outcome) };
      });
      return Promise.resolve(outcomes);
    },
    cancel(id) {
      const stored = entries.get(id);
      return Promise.resolve(stored ? cancelOne(stored) : null);
    },
    release(session, loss) {
      const holder = holders.get(session);
      holders.delete(session);
      const held = holder ? entriesOf(holder) : [];
      return Promise.resolve(held.map((entry) => end(entry, sessionEnded(loss), held.length === 1)));
    },
    reconcile(session, held) {
      const attempts = new Map(held);
      const kept: Job[] = [];
      const lost: Job[] = [];
      const holder = holders.get(session);
      for (const entry of holder ? entriesOf(holder) : []) {
        const { id, attempt } = entry.job;
        if (attempts.get(id) === attempt) kept.push(entry.job);
        else lost.push(end(entry, LOST_ON_THE_WAY));
      }
      return Promise.resolve({ kept, lost });
    },
    sweep(limit) {
      promote(limit);
      const reclaimed: Job[] = [];
      const monotonic = clock.monotonic();
      for (const [session, holder] of holders) {
        if (holder.leaseUntil > monotonic) continue;
        const held = entriesOf(holder);
        for (const entry of held) {
          if (reclaimed.length === limit) break;
          reclaimed.push(end(entry, LEASE_LOST, held.length === 1));
        }
        if (holder.attempts.size === 0) holders.delete(session);
      }
      const expired: Job[] = [];
      const now = clock.now();
      for (let next = expiries.first(); next && next.expiresAt <= now; next = expiries.first()) {
        if (expired.length === limit) break;
        expired.push(expire(next));
      }
      outbox.sweep(limit);
      return Promise.resolve({ claims: true, reclaimed, expired, forgotten: results.sweep(limit) });
    },
    // Nobody else can claim from this process's memory.
    stopClaiming: () => Promise.resolve(),
    get(id) {
      const stored = entries.get(id);
      return Promise.resolve(stored ? read(stored) : null);
    },
    failedInput: (id) => Promise.resolve(failedInputs.get(id)),
    dropFailedInputs: (ids) => Promise.resolve(ids.filter(failedInputs.drop)),
    decidedAmong: (ids) => Promise.resolve(ids.filter((id) => entries.get(id)?.live === null)),
    probe: () => Promise.resolve(),
    knownModels: () => Promise.resolve(known.all()),
    rememberModels(models) {
      known.remember(models, clock.now());
      return Promise.resolve();
    },
    list(request) {
      const after = request.cursor === null ? null : { seq: parseCursor(request.cursor) };
      return Promise.resolve(listPage(newest.backwards(after) as Iterable<Stored>, request));
    },
    counts() {
      const counts = [...models].map(([name, { queue, processingJobs }]) => {
        const { jobs: waitingJobs, rows: waitingRows, soloJobs } = queue;
        return [name, { waitingJobs, waitingRows, soloJobs, processingJobs }] as const;
      });
      return Promise.resolve(new Map(counts));
    },
    oldestWaiting: () => Promise.resolve(oldestAges(models, clock.now())),
    deliveries: outbox.port,
    queuePosition(id) {
      const entry = entries.get(id)?.live;
      return Promise.resolve(entry?.holder === null ? entry.model.queue.position(entry) : null);
    },
  };
}

/** What a session holds now, whatever happens to its set meanwhile. */
function entriesOf(holder: Holder): Entry[] {
  return [...holder.attempts].flatMap(({ live }) => (live === null ? [] : [live]));
}

function refused(code: PosternError['code'], message: string): SubmitOutcome {
  return { type: 'refused', error: new PosternError(code, message) };
}

function undelivered<S extends Job['status']>(status: S, error: JobError | null) {
  return { status, output: null, error, timings: null };
}
