/**
 * What does a statement cost the database that finds little or nothing to do? With many gateways these are most of all: claims for nothing,
 * heartbeats, counts. CPU of the server's processes, for each statement of the real driver; for the simulation of many gateways.
 *
 *   npm run bench:statements
 */
import { systemClock } from '../src/clock.ts';
import { Secret } from '../src/secret.ts';
import { createPostgresStore } from '../src/store/postgres/postgres.ts';
import { startPostgres } from '../test/support/postgres.ts';
import { newJob } from './support/jobs.ts';
import { cpuSeconds } from './support/process.ts';
import { record } from './support/record.ts';

const TIMES = 1_500;
const BATCH = 400;

const postgres = await startPostgres({ settings: { fsync: 'on', synchronous_commit: 'on' } });
const database = await postgres.createDatabase();
const store = createPostgresStore({ clock: systemClock, url: new Secret(postgres.tcpUrlOf(database)), blobs: null });
await store.start();

async function serverCpuMs(): Promise<number> {
  const rows = await postgres.query(
    `SELECT pid FROM pg_stat_activity WHERE datname = '${database}' AND pid <> pg_backend_pid()`,
  );
  return rows.reduce((sum, { pid }) => sum + cpuSeconds(Number(pid)) * 1_000, 0);
}

/** Server CPU of one, milliseconds. */
async function costOf(times: number, step: (n: number) => Promise<unknown>): Promise<number> {
  for (let n = 0; n < 20; n += 1) await step(n);
  const before = await serverCpuMs();
  for (let n = 0; n < times; n += 1) await step(n);
  return ((await serverCpuMs()) - before) / times;
}

const claim = (session: string, model: string) =>
  store.claim([
    {
      session,
      worker: 'w',
      model,
      version: '1',
      maxRows: 1,
      capacityRows: 8,
      leaseMs: 18_000,
      solo: false,
      namedOnly: false,
    },
  ]);

try {
  // Sessions that hold a job, and so have a lease.
  await store.submit(Array.from({ length: BATCH }, () => newJob()));
  for (let n = 0; n < BATCH; n += 1) await claim(`session-${n}`, 'bench');
  const figures = {
    emptyClaimMs: await costOf(TIMES, () => claim('session-0', 'bench')),
    heartbeatMs: await costOf(TIMES, (n) => store.heartbeat(`session-${n % BATCH}`, 18_000)),
    heartbeatOfNobodyMs: await costOf(TIMES, () => store.heartbeat('nobody', 18_000)),
    heartbeatsTogetherMs: await costOf(TIMES / 30, () =>
      Promise.all(Array.from({ length: BATCH }, (_, n) => store.heartbeat(`session-${n}`, 18_000))),
    ),
    countsMs: await costOf(TIMES, () => store.counts()),
    sweepMs: await costOf(TIMES / 5, () => store.sweep(2_000)),
    heartbeatsInABatch: BATCH,
  };
  record('statements', [], figures);
  console.log(figures);
} finally {
  await store.stop();
  await postgres.remove();
}
