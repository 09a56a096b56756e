/** One job inside the memory driver: the snapshot that callers see, and what the driver alone needs beside it. */
import { acceptedJob } from '../dispatch/accepted.ts';
import type { Job, JobId, JobStatus, NewJob } from '../dispatch/job.ts';
import type { Expiring } from './expiry-heap.ts';
import type { MemoryQueue, Waiting } from './memory-queue.ts';
import { unpackJob, type PackedJob } from './packed-job.ts';

/** A session as the store knows it: one lease for all its attempts, so that a heartbeat costs the same for 1 or 10,000. */
export interface Holder {
  readonly worker: string;
  /** On the monotonic clock: a wall clock that jumps must not reclaim what runs. */
  leaseUntil: number;
  /** Not the entries: outgrown tables of a Set keep what they hold alive for a while, and an entry holds a whole input. */
  readonly attempts: Set<Stored>;
  readonly cancels: Set<JobId>;
}

export interface ModelState {
  readonly queue: MemoryQueue<Entry>;
  processingJobs: number;
}

/** What is kept of a job for as long as it can be read: small, because there are many and the collector copies each. */
export interface Stored {
  readonly id: JobId;
  /** Order of acceptance. */
  readonly seq: number;
  readonly model: string;
  readonly caller: string;
  /** Of the idempotency key with its caller; null: none was given. */
  readonly key: string | null;
  /** Of the request body; only where an idempotency key needs it. */
  readonly digest: string | null;
  /** null: decided, and then it is packed. */
  live: Entry | null;
  packed: PackedJob | null;
  /** Of a decided job. */
  status: JobStatus;
  /** Monotonic, whole milliseconds, when it was decided. */
  decidedAt: number;
  retainedBytes: number;
}

/** What only an undecided job needs. */
export interface Entry extends Waiting, Expiring {
  readonly stored: Stored;
  /** Never changed in place: whoever read it keeps what they read. */
  job: Job;
  readonly model: ModelState;
  readonly inputBytes: number;
  spentAttempts: number;
  /** See `verdict.ts`: what its lost attempts say about it. */
  suspicion: number;
  /** Of the job, where it is out of line until then; 0 otherwise. */
  notBefore: number;
  /** null: it waits. */
  holder: Holder | null;
}

/** The job as it stands. */
export function read({ live, packed, id }: Stored): Job {
  if (live !== null) return live.job;
  if (packed === null) throw new Error(`the job ${id} is neither live nor packed`);
  return unpackJob(packed);
}

export interface EntryParts {
  readonly seq: number;
  readonly model: ModelState;
  readonly key: string | null;
  readonly digest: string | null;
  readonly nowMs: number;
}

export function createEntry(job: NewJob, { seq, model, key, digest, nowMs }: EntryParts): Entry {
  const stored: Stored = {
    id: job.id,
    seq,
    model: job.model,
    caller: job.caller,
    key,
    digest,
    live: null,
    packed: null,
    status: 'starting',
    decidedAt: 0,
    retainedBytes: 0,
  };
  const entry: Entry = {
    seq,
    priority: job.priority,
    caller: job.caller,
    rows: job.rows,
    version: job.version,
    tag: 0,
    place: 'none',
    expiresAt: 0,
    heapIndex: -1,
    stored,
    job: acceptedJob(job, nowMs),
    model,
    inputBytes: job.input.bytes.byteLength,
    spentAttempts: 0,
    suspicion: 0,
    notBefore: 0,
    holder: null,
  };
  stored.live = entry;
  return entry;
}
