/**
 * One process that keeps jobs in PostgreSQL, for `bench/postgres.ts`: Postern's store, pg-boss or graphile-worker, each as its documentation
 * says that it is fast. Prints one line of JSON.
 *
 *   callers: so many callers, each submits a job of 1 KiB and waits until it is decided, as over HTTP
 *   bulk:    submits so many jobs in batches of 1,000, and then works them off
 *
 *   DATABASE_URL=… node bench/peers/postgres-load.ts <postern|pg-boss|graphile> <callers|bulk> <seconds, or jobs>
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { run as runGraphile, makeWorkerUtils, Logger } from 'graphile-worker';
import { PgBoss } from 'pg-boss';
import { systemClock } from '../../src/clock.ts';
import { newJob, OUTCOME } from '../support/jobs.ts';
import type { Job } from '../../src/dispatch/job.ts';
import { Secret } from '../../src/secret.ts';
import { createPostgresStore } from '../../src/store/postgres/postgres.ts';

/** What a product does with jobs. `submit` resolves when they are committed, `onDecided` is called for each when its end is. */
interface Product {
  submit(count: number): Promise<void>;
  work(): void;
  onDecided: (count: number) => void;
  stop(): Promise<void>;
  readonly statements?: () => number;
}

const CALLERS = 256;
const BATCH = 1_000;
const AT_ONCE = 256;
const [kind = 'postern', mode = 'callers', amount = '4'] = process.argv.slice(2);
const url = process.env.DATABASE_URL ?? '';
const payload = randomBytes(1_024);
/** As text, because both of the others keep JSON. */
const text = payload.toString('base64').slice(0, 1_024);

async function postern(): Promise<Product> {
  const meter = { statements: 0, transactions: 0 };
  const store = createPostgresStore({
    clock: systemClock,
    url: new Secret(url),
    blobs: null,
    queueLimitJobs: 1_000_000,
    meter,
  });
  await store.start();
  const session = randomUUID();
  let isStopped = false;
  let wake: () => void = () => undefined;
  const request = { session, worker: 'gpu', model: 'bench', version: '1', leaseMs: 60_000 };
  /** What a worker grants: more is claimed only as that is decided. */
  let free = 2 * AT_ONCE;
  const settle = async (jobs: readonly Job[]): Promise<void> => {
    const ends = jobs.map(({ id, attempt }) => ({ fence: { job: id, attempt, session }, outcome: OUTCOME }));
    const outcomes = await store.settle(ends);
    free += jobs.length;
    wake();
    product.onDecided(outcomes.filter(({ type }) => type === 'applied').length);
  };
  const product: Product = {
    async submit(count) {
      const outcomes = await store.submit(Array.from({ length: count }, () => newJob()));
      if (outcomes.some(({ type }) => type !== 'accepted')) throw new Error('not accepted');
      wake();
    },
    work() {
      void (async () => {
        while (!isStopped) {
          const maxRows = Math.min(free, AT_ONCE);
          const claimed =
            maxRows === 0 ? null : (await store.claim([{ ...request, maxRows, capacityRows: maxRows }]))[0]!;
          if (claimed !== null && claimed.jobs.length > 0) {
            free -= claimed.jobs.length;
            void settle(claimed.jobs);
          }
          // Others submit and claim here too; nobody is told by this harness.
          if ((claimed === null || claimed.leftRows === 0) && !isStopped) {
            await new Promise<void>((resolve) => {
              wake = resolve;
              setTimeout(resolve, 20);
            });
          }
        }
      })();
    },
    onDecided: () => undefined,
    async stop() {
      isStopped = true;
      wake();
      await store.stop();
    },
    statements: () => meter.statements,
  };
  return product;
}

async function pgBoss(): Promise<Product> {
  const boss = new PgBoss({ connectionString: url, max: 10, supervise: false, schedule: false });
  boss.on('error', (error: Error) => console.error(error.message));
  await boss.start();
  await boss.createQueue('bench').catch(() => undefined);
  let isStopped = false;
  let wake: () => void = () => undefined;
  const product: Product = {
    async submit(count) {
      if (count === 1) await boss.send('bench', { text });
      else
        await boss.insert(
          'bench',
          Array.from({ length: count }, () => ({ data: { text } })),
        );
      wake();
    },
    work() {
      // Its own `work` looks every half second at most often; fetch and complete without a pause are the fastest it has.
      for (let loop = 0; loop < 2; loop += 1) {
        void (async () => {
          while (!isStopped) {
            const jobs = await boss.fetch('bench', { batchSize: AT_ONCE });
            if (jobs.length > 0) {
              await boss.complete(
                'bench',
                jobs.map(({ id }) => id),
                { text },
              );
              product.onDecided(jobs.length);
            } else if (!isStopped) {
              await new Promise<void>((resolve) => {
                wake = resolve;
                setTimeout(resolve, 20);
              });
            }
          }
        })();
      }
    },
    onDecided: () => undefined,
    async stop() {
      isStopped = true;
      await boss.stop({ graceful: false });
    },
  };
  return product;
}

async function graphile(): Promise<Product> {
  const logger = new Logger(() => () => undefined);
  const utils = await makeWorkerUtils({ connectionString: url, logger });
  await utils.migrate();
  let runner: Awaited<ReturnType<typeof runGraphile>> | null = null;
  const product: Product = {
    async submit(count) {
      if (count === 1) await utils.addJob('bench', { text });
      else await utils.addJobs(Array.from({ length: count }, () => ({ identifier: 'bench', payload: { text } })));
    },
    work() {
      void runGraphile({
        connectionString: url,
        logger,
        maxPoolSize: 10,
        noHandleSignals: true,
        taskList: {
          bench() {
            product.onDecided(1);
          },
        },
        preset: {
          worker: {
            concurrentJobs: AT_ONCE,
            localQueue: { size: 2 * AT_ONCE },
            completeJobBatchDelay: 0,
            failJobBatchDelay: 0,
          },
        },
      }).then((running) => (runner = running));
    },
    onDecided: () => undefined,
    async stop() {
      await runner?.stop();
      await utils.release();
    },
  };
  return product;
}

const makers = { postern, 'pg-boss': pgBoss, graphile } as const;
const product = await makers[kind as keyof typeof makers]();
let done = 0;

async function callers(seconds: number): Promise<number> {
  const waiting: (() => void)[] = [];
  product.onDecided = (count) => {
    done += count;
    for (let n = 0; n < count; n += 1) waiting.shift()?.();
  };
  product.work();
  let isOver = false;
  const caller = async (): Promise<void> => {
    while (!isOver) {
      await product.submit(1);
      if (!isOver) await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };
  const all = Array.from({ length: CALLERS }, caller);
  // Until it is under way.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  const [before, beforeStatements, began] = [done, product.statements?.() ?? 0, performance.now()];
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  const elapsedS = (performance.now() - began) / 1_000;
  const jobs = done - before;
  statementsPerJob = ((product.statements?.() ?? 0) - beforeStatements) / jobs;
  isOver = true;
  for (const resolve of waiting) resolve();
  await Promise.allSettled(all);
  return jobs / elapsedS;
}

async function bulk(jobs: number): Promise<number> {
  await product.submit(BATCH);
  const began = performance.now();
  const [before, beforeStatements] = [done, product.statements?.() ?? 0];
  for (let n = 0; n < jobs; n += BATCH) await product.submit(BATCH);
  const finished = new Promise<void>((resolve) => {
    product.onDecided = (count) => {
      done += count;
      if (done - before >= jobs) resolve();
    };
  });
  product.work();
  await finished;
  statementsPerJob = ((product.statements?.() ?? 0) - beforeStatements) / jobs;
  return (jobs * 1_000) / (performance.now() - began);
}

let statementsPerJob = 0;
const jobsPerSecond = mode === 'bulk' ? await bulk(Number(amount)) : await callers(Number(amount));
process.stdout.write(`${JSON.stringify({ jobsPerSecond, statementsPerJob })}\n`);
// What still runs is cut off: its database is dropped.
process.exit(0);
