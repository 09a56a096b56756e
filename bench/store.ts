/**
 * What does it cost to keep a job? Recorded jobs of 1 KiB in and out on SQLite, each flush in full: insert, claim, complete,
 * for 256 callers; beside it the disk's own flushes per second. Then the same with a million jobs waiting.
 *
 *   npm run bench:store -- [seconds per round, default 4] [rounds, default 3] [waiting jobs, default 1000000]
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createDirectoryBlobs } from '../src/blobs/directory.ts';
import { systemClock } from '../src/clock.ts';
import type { Job, NewJob } from '../src/dispatch/job.ts';
import { createSqliteStore } from '../src/store/sqlite/sqlite.ts';
import type { Store } from '../src/store/store.ts';
import { newJob, OUTCOME } from './support/jobs.ts';
import { cpuSeconds } from './support/process.ts';
import { atLeast, atMost, median, record } from './support/record.ts';

const CALLERS = 256;
const seconds = Number(process.argv[2] ?? 4);
const rounds = Number(process.argv[3] ?? 3);
const manyJobs = Number(process.argv[4] ?? 1_000_000);

let lastCaller = 0;

const jobOfNext = (): NewJob => newJob(`caller-${(lastCaller = (lastCaller + 1) % CALLERS)}`);
const fenceOf = (job: Job) => ({ job: job.id, attempt: job.attempt, session: 'session' });

async function claim(store: Store, maxRows: number): Promise<Job[]> {
  const request = { session: 'session', worker: 'gpu', model: 'bench', version: '1', maxRows, capacityRows: maxRows };
  const [claimed] = await store.claim([{ ...request, leaseMs: 60_000 }]);
  return claimed?.jobs ?? [];
}

const settle = (store: Store, jobs: readonly Job[]) =>
  store.settle(jobs.map((job) => ({ fence: fenceOf(job), outcome: OUTCOME })));

/** Milliseconds of one flush of a page that is overwritten, as the log of a busy store is. */
function flushes(folder: string): { fdatasyncMs: number; fsyncMs: number } {
  const file = openSync(join(folder, 'flush'), 'w+');
  const page = randomBytes(4_096);
  const pages = 1_024;
  writeSync(file, Buffer.alloc(pages * page.length));
  fsyncSync(file);
  const measure = (flush: (file: number) => void): number => {
    const times: number[] = [];
    const until = performance.now() + 1_500;
    for (let n = 0; performance.now() < until; n += 1) {
      const began = performance.now();
      writeSync(file, page, 0, page.length, (n % pages) * page.length);
      flush(file);
      times.push(performance.now() - began);
    }
    return median(times);
  };
  const measured = { fdatasyncMs: measure(fdatasyncSync), fsyncMs: measure(fsyncSync) };
  closeSync(file);
  return measured;
}

/** Callers that each submit a job and wait until one is decided (their own, when nothing else waits); a worker that takes and ends what is there. */
async function load(store: Store, callers = CALLERS) {
  const waiting: (() => void)[] = [];
  const submitMs: number[] = [];
  let done = 0;
  let unclaimed = 0;
  let isClaiming = false;
  const until = performance.now() + seconds * 1_000;

  async function work(): Promise<void> {
    if (isClaiming) return;
    isClaiming = true;
    while (unclaimed > 0) {
      const jobs = await claim(store, unclaimed);
      unclaimed -= jobs.length;
      void settle(store, jobs).then((outcomes) => {
        for (const one of outcomes) if (one.type === 'applied') waiting.shift()?.();
      });
    }
    isClaiming = false;
  }

  async function caller(): Promise<void> {
    while (performance.now() < until) {
      const job = jobOfNext();
      const began = performance.now();
      const [accepted] = await store.submit([job]);
      if (accepted?.type !== 'accepted') throw new Error(`not accepted: ${accepted?.type}`);
      submitMs.push(performance.now() - began);
      unclaimed += 1;
      const decided = new Promise<void>((resolve) => waiting.push(resolve));
      void work();
      await decided;
      done += 1;
    }
  }

  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const cpuBefore = cpuSeconds(process.pid);
  const began = performance.now();
  await Promise.all(Array.from({ length: callers }, caller));
  const elapsedS = (performance.now() - began) / 1_000;
  delay.disable();
  submitMs.sort((a, b) => a - b);
  return {
    jobsPerSecond: done / elapsedS,
    submitP50Ms: submitMs[Math.floor(submitMs.length * 0.5)] ?? NaN,
    submitP99Ms: submitMs[Math.floor(submitMs.length * 0.99)] ?? NaN,
    cpuUs: ((cpuSeconds(process.pid) - cpuBefore) / done) * 1e6,
    // The monitor adds its own period to what it sees.
    loopBlockedMs: delay.max / 1e6 - 1,
  };
}

/** Milliseconds of submitting and of claiming 64 jobs, beside whatever waits. The claimed ones are ended. */
async function step(store: Store): Promise<{ submitMs: number; claimMs: number }> {
  const jobs = Array.from({ length: 64 }, jobOfNext);
  const began = performance.now();
  await store.submit(jobs);
  const submitted = performance.now();
  const claimed = await claim(store, 64);
  const ended = performance.now();
  await settle(store, claimed);
  return { submitMs: submitted - began, claimMs: ended - submitted };
}

/** The two stores take turns, so that whatever else the machine does meets both. */
async function steps(few: Store, many: Store, count: number) {
  const times = {
    fewSubmitMs: [] as number[],
    fewClaimMs: [] as number[],
    manySubmitMs: [] as number[],
    manyClaimMs: [] as number[],
  };
  for (let n = 0; n < count; n += 1) {
    const [one, other] = [await step(few), await step(many)];
    times.fewSubmitMs.push(one.submitMs);
    times.fewClaimMs.push(one.claimMs);
    times.manySubmitMs.push(other.submitMs);
    times.manyClaimMs.push(other.claimMs);
  }
  return {
    fewSubmitMs: median(times.fewSubmitMs),
    fewClaimMs: median(times.fewClaimMs),
    manySubmitMs: median(times.manySubmitMs),
    manyClaimMs: median(times.manyClaimMs),
  };
}

async function fill(store: Store, jobs: number): Promise<void> {
  for (let n = 0; n < jobs; n += 2_000) {
    await store.submit(Array.from({ length: 2_000 }, jobOfNext));
    if (n % 100_000 === 0) process.stdout.write(`\r${n} jobs wait …`);
  }
  process.stdout.write(`\r${jobs} jobs wait    \n`);
}

const STEPS = 300;
/** Callers of a gateway that is not at its limit. */
const FEW_CALLERS = 16;
// Not the system's folder for temporary files, which may be memory.
const folders = join(import.meta.dirname, '..', 'var');
mkdirSync(folders, { recursive: true });
const folder = mkdtempSync(join(folders, 'bench-store-'));
const blobs = createDirectoryBlobs({ folder: join(folder, 'blobs'), clock: systemClock });
await blobs.start();

async function open(name: string): Promise<Store> {
  const path = join(folder, `${name}.sqlite`);
  const store = createSqliteStore({ clock: systemClock, path, blobs, queueLimitJobs: 2 * manyJobs + 10_000 });
  await store.start();
  return store;
}

const store = await open('few');
const long = await open('many');
try {
  console.log('warming up …');
  await load(store);
  const disks: ReturnType<typeof flushes>[] = [];
  const loads: Awaited<ReturnType<typeof load>>[] = [];
  const calm: Awaited<ReturnType<typeof load>>[] = [];
  for (let n = 1; n <= rounds; n += 1) {
    disks.push(flushes(folder));
    loads.push(await load(store));
    calm.push(await load(store, FEW_CALLERS));
    const [disk, one, few] = [disks.at(-1)!, loads.at(-1)!, calm.at(-1)!];
    console.log(
      `round ${n}/${rounds}: ${one.jobsPerSecond.toFixed(0)} jobs/s, submit p50 ${one.submitP50Ms.toFixed(1)} p99 ${one.submitP99Ms.toFixed(1)} ms, ${one.cpuUs.toFixed(0)} µs CPU a job, loop blocked ${one.loopBlockedMs.toFixed(1)} ms; ${FEW_CALLERS} callers ${few.jobsPerSecond.toFixed(0)} jobs/s, submit p50 ${few.submitP50Ms.toFixed(2)} p99 ${few.submitP99Ms.toFixed(2)} ms; one fdatasync ${disk.fdatasyncMs.toFixed(2)} ms, fsync ${disk.fsyncMs.toFixed(2)} ms`,
    );
  }
  const logBytes = statSync(join(folder, 'few.sqlite-wal')).size;
  // Half of it first: by then every cache and heap has the size that it may have, and what the second half adds is the queue's.
  const half = Math.round(manyJobs / 2);
  await fill(long, half);
  await steps(store, long, 20);
  const rssBefore = process.memoryUsage().rss;
  await fill(long, manyJobs - half);
  await steps(store, long, 20);
  const beside = await steps(store, long, STEPS);
  const rssAfter = process.memoryUsage().rss;
  const loadMany = await load(long);

  const fdatasyncMs = median(disks.map((one) => one.fdatasyncMs));
  const of = (pick: (one: (typeof loads)[number]) => number): number => median(loads.map(pick));
  const slower = (many: number, few: number): number => (many / few - 1) * 100;
  const MIB = 1024 * 1024;
  const wanted = Math.min(8_000, Math.round(20_000 / fdatasyncMs));
  const bound = Number((10 * fdatasyncMs).toFixed(1));
  record(
    'store',
    [
      atLeast(
        'recorded jobs',
        of((one) => one.jobsPerSecond),
        '/s',
        wanted,
      ),
      atMost(
        `p99 of submit, ${CALLERS} callers`,
        of((one) => one.submitP99Ms),
        'ms',
        bound,
      ),
      atMost(`p99 of submit, ${FEW_CALLERS} callers`, median(calm.map((one) => one.submitP99Ms)), 'ms', bound),
      atMost(
        'event loop blocked, longest',
        of((one) => one.loopBlockedMs),
        'ms',
        20,
      ),
      atMost(`submit, slower with ${manyJobs} waiting`, slower(beside.manySubmitMs, beside.fewSubmitMs), '%', 20),
      atMost(`claim, slower with ${manyJobs} waiting`, slower(beside.manyClaimMs, beside.fewClaimMs), '%', 20),
      atLeast(`recorded jobs with ${manyJobs} waiting`, loadMany.jobsPerSecond, '/s', Math.round(wanted * 0.8)),
      atMost(`memory, more with ${manyJobs} waiting than with half`, (rssAfter - rssBefore) / MIB, 'MiB', 64),
    ],
    { seconds, rounds, callers: CALLERS, disks, loads, calm, beside, loadMany, rssBefore, rssAfter, logBytes },
  );
} finally {
  await store.stop();
  await long.stop();
  rmSync(folder, { recursive: true, force: true });
}
