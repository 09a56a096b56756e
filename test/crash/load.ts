/**
 * A process that loads a store until it is killed: callers submit, a worker claims and settles, some cancel. After every
 * answer of the store it says so on standard output, in one write, so that what was acknowledged is known to whoever killed it:
 *
 *   ready                         the store is open
 *   A <id>                        accepted
 *   D <id> <attempt>              decided: succeeded, with the output of this attempt
 *   K <id>                        cancelled while it waited
 *   X <text>                      something is wrong
 *   E <code>                      the store refused (only with --errors; then the process goes on)
 *
 *   node test/crash/load.ts <folder> <life> [callers, default 32] [--errors]
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { createDirectoryBlobs } from '../../src/blobs/directory.ts';
import { systemClock } from '../../src/clock.ts';
import { createIds } from '../../src/dispatch/id.ts';
import type { Fence, Job, NewJob, Outcome } from '../../src/dispatch/job.ts';
import { toPosternError } from '../../src/errors.ts';
import { createSqliteStore } from '../../src/store/sqlite/sqlite.ts';
import type { Store } from '../../src/store/store.ts';

export const MODEL = 'plants';
const TIMINGS = { queueMs: 0, linkMs: 0, workerQueueMs: 0, decodeMs: 0, batchMs: 0, computeMs: 0 };
/** One in so many is larger than a row may be, and goes to a blob. */
const LARGE_EVERY = 16;

/** What belongs to an id, and to one of its attempts: whoever reads it back can tell whether it is right. */
export function contentOf(id: string, attempt: number): Buffer {
  const seed = createHash('sha256').update(`${id} ${attempt}`).digest();
  const isLarge = seed[0]! % LARGE_EVERY === 0;
  return Buffer.alloc(isLarge ? 70_000 : 200 + seed[1]!, seed);
}

export async function openStore(folder: string): Promise<Store> {
  const blobs = createDirectoryBlobs({ folder: join(folder, 'blobs'), clock: systemClock });
  await blobs.start();
  const store = createSqliteStore({ clock: systemClock, path: join(folder, 'jobs.sqlite'), blobs });
  await store.start();
  return store;
}

export function newJob(id: string): NewJob {
  return {
    id,
    model: MODEL,
    version: null,
    input: { contentType: 'application/octet-stream', bytes: contentOf(id, 0) },
    parameters: {},
    rows: 1,
    priority: 0,
    caller: `caller-${id.at(-1)}`,
    deadlineAt: null,
    idempotencyKey: null,
    webhook: null,
  };
}

export const fenceOf = ({ id, attempt, session }: Job): Fence => ({ job: id, attempt, session: session ?? '' });

export function succeeded(job: Job): Outcome {
  const output = { contentType: 'application/octet-stream', bytes: contentOf(job.id, job.attempt) };
  return { type: 'succeeded', output, timings: TIMINGS };
}

export const claimOf = (session: string, maxRows: number) => {
  return { session, worker: 'w', model: MODEL, version: '1', maxRows, capacityRows: maxRows, leaseMs: 60_000 };
};

/** Every session that holds an attempt. A page may be empty and still not be the last. */
export async function sessionsOf(store: Store): Promise<Set<string>> {
  const sessions = new Set<string>();
  for (let cursor: string | null | undefined; cursor !== null;) {
    const page = await store.list({ limit: 1_000, cursor: cursor ?? null, status: 'processing' });
    for (const { session } of page.jobs) if (session !== null) sessions.add(session);
    cursor = page.next;
  }
  return sessions;
}

/** A line is shorter than what a pipe takes whole; a pipe that is full for the moment is tried again. */
function say(line: string): void {
  for (;;) {
    try {
      writeSync(1, `${line}\n`);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

async function main(folder: string, life: string, callers: number, goesOn: boolean): Promise<void> {
  const nextId = createIds(systemClock, randomBytes);
  const store = await openStore(folder);
  const session = `life-${life}-${randomUUID()}`;
  // What the life before held: its worker is gone.
  for (const earlier of await sessionsOf(store)) await store.release(earlier, 'free');
  say('ready');

  const guard = async (step: () => Promise<void>): Promise<void> => {
    try {
      await step();
    } catch (error) {
      const { code, message } = toPosternError(error);
      if (goesOn) say(`E ${code}`);
      else say(`X ${code} ${message}`);
    }
  };

  async function submitOne(): Promise<void> {
    const id = nextId();
    const [outcome] = await store.submit([newJob(id)]);
    if (outcome?.type === 'accepted') say(`A ${id}`);
    else if (outcome?.type !== 'refused' || outcome.error.code !== 'queue_full') say(`X ${id} was ${outcome?.type}`);
    if (randomBytes(1)[0]! >= 8) return;
    const job = await store.cancel(id);
    if (job?.status === 'canceled') say(`K ${id}`);
  }

  async function workOnce(): Promise<void> {
    const [claimed] = await store.claim([claimOf(session, 64)]);
    const jobs = claimed?.jobs ?? [];
    for (const { id, input } of jobs) {
      if (!contentOf(id, 0).equals(input.bytes)) say(`X ${id} came with another input`);
    }
    const outcomes = await store.settle(jobs.map((job) => ({ fence: fenceOf(job), outcome: succeeded(job) })));
    outcomes.forEach((outcome, index) => {
      const { id, attempt } = jobs[index]!;
      if (outcome.type === 'applied') {
        if (outcome.job.status === 'succeeded') say(`D ${id} ${attempt}`);
      } else say(`X ${id} could not be settled: ${outcome.type}`);
    });
  }

  const forever = async (step: () => Promise<void>): Promise<never> => {
    for (;;) {
      await guard(step);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await Promise.all([...Array.from({ length: callers }, () => forever(submitOne)), forever(workOnce)]);
}

if (import.meta.main) {
  const [folder = '', life = '0', callers = '32'] = process.argv.slice(2).filter((word) => !word.startsWith('--'));
  await main(folder, life, Number(callers), process.argv.includes('--errors'));
}
