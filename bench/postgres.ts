/**
 * What does it cost to keep a job in PostgreSQL? Recorded jobs of 1 KiB in and out, each commit flushed (`fsync`, `synchronous_commit` on),
 * on a PostgreSQL of its own: 1, 2 and 4 gateway processes; pg-boss and graphile-worker on the same server in the same rounds; and
 * claims beside a million decided and 100,000 waiting jobs.
 *
 *   npm run bench:postgres -- [seconds per round, default 4] [rounds, default 3]
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { loadavg } from 'node:os';
import { text } from 'node:stream/consumers';
import { systemClock } from '../src/clock.ts';
import { newJob, OUTCOME } from './support/jobs.ts';
import { Secret } from '../src/secret.ts';
import { createPostgresStore } from '../src/store/postgres/postgres.ts';
import type { Store } from '../src/store/store.ts';
import { startPostgres, type TestPostgres } from '../test/support/postgres.ts';
import { atLeast, atMost, median, record } from './support/record.ts';

const seconds = Number(process.argv[2] ?? 4);
const rounds = Number(process.argv[3] ?? 3);
const BULK_JOBS = 10_000;
const DECIDED = 1_000_000;
const WAITING = 100_000;
const CLAIM_ROWS = 32;
/** Odd, for the median. */
const CLAIMS = 151;

const DURABLE = {
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  shared_buffers: "'1GB'",
  max_wal_size: "'4GB'",
  max_connections: '200',
};
const GATEWAYS = [1, 2, 4] as const;
const PEERS = ['postern', 'pg-boss', 'graphile'] as const;
type Kind = (typeof PEERS)[number];

interface Measured {
  readonly jobsPerSecond: number;
  readonly statementsPerJob: number;
}

async function load(url: string, kind: Kind, mode: 'callers' | 'bulk', amount: number): Promise<Measured> {
  const file = new URL('./peers/postgres-load.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [file, kind, mode, String(amount)], {
    env: { ...process.env, DATABASE_URL: url },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output, exited] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  const [code] = exited as [number | null];
  if (code !== 0) throw new Error(`${kind} ${mode} exited with ${String(code)}`);
  return JSON.parse(output) as Measured;
}

/** So many processes at once on one new database. */
async function together(
  postgres: TestPostgres,
  kind: Kind,
  mode: 'callers' | 'bulk',
  processes: number,
): Promise<Measured> {
  const database = await postgres.createDatabase();
  const url = postgres.tcpUrlOf(database);
  const amount = mode === 'bulk' ? BULK_JOBS : seconds;
  const measured = await Promise.all(Array.from({ length: processes }, () => load(url, kind, mode, amount)));
  await postgres.query(`DROP DATABASE ${database} WITH (FORCE)`);
  const jobsPerSecond = measured.reduce((sum, one) => sum + one.jobsPerSecond, 0);
  return { jobsPerSecond, statementsPerJob: Math.max(...measured.map((one) => one.statementsPerJob)) };
}

// ---- claims beside many ----------------------------------------------------------------------------------------------

async function open(postgres: TestPostgres): Promise<{ store: Store; database: string }> {
  const database = await postgres.createDatabase();
  const store = createPostgresStore({
    clock: systemClock,
    url: new Secret(postgres.tcpUrlOf(database)),
    blobs: null,
    queueLimitJobs: 10_000_000,
    answerMs: 120_000,
  });
  await store.start();
  return { store, database };
}

/** Rows as the store would have left them, with their sums. */
async function fill(postgres: TestPostgres, database: string): Promise<void> {
  const now = Date.now();
  const job = (from: number, count: number, columns: string, values: string) =>
    `INSERT INTO postern.job (id, model, version, content_type, parameters, rows, priority, tag, caller, input_bytes, created_at, ${columns})
     SELECT 'filled-' || n, 'bench', '', 'x', '{}', 1, 0, n - ${from}, 'anonymous', 1024, ${now}, ${values}
     FROM generate_series(${from + 1}, ${from + count}) AS n`;
  for (const sql of [
    job(
      0,
      DECIDED,
      'status, started_at, completed_at, attempt, output_bytes, due_at',
      `'succeeded', ${now}, ${now}, 1, 1024, ${now + 86_400_000}`,
    ),
    job(DECIDED, WAITING, 'due_at', `${now + 86_400_000}`),
    `INSERT INTO postern.output SELECT seq, 'x', decode(repeat('ab', 1024), 'hex') FROM postern.job WHERE completed_at IS NOT NULL`,
    `INSERT INTO postern.input SELECT seq, decode(repeat('ab', 1024), 'hex') FROM postern.job WHERE completed_at IS NULL`,
    `INSERT INTO postern.lane (model, version, slot, waiting_jobs, waiting_rows) VALUES ('bench', '', 0, ${WAITING}, ${WAITING})
     ON CONFLICT (model, version, slot) DO UPDATE SET waiting_jobs = ${WAITING}, waiting_rows = ${WAITING}`,
    `INSERT INTO postern.total (slot, decided_jobs, output_bytes, input_bytes) VALUES (0, ${DECIDED}, ${DECIDED * 1024}, ${WAITING * 1024})
     ON CONFLICT (slot) DO UPDATE SET decided_jobs = excluded.decided_jobs`,
    'VACUUM ANALYZE',
  ]) {
    await postgres.query(sql, database);
  }
}

/** Milliseconds of a claim. As many come in as are taken, so that the queue stays as long as it is. */
async function claimOnce(store: Store): Promise<number> {
  await store.submit(Array.from({ length: CLAIM_ROWS }, () => newJob()));
  const request = {
    session: 's',
    worker: 'w',
    model: 'bench',
    version: '1',
    maxRows: CLAIM_ROWS,
    capacityRows: CLAIM_ROWS,
  };
  const began = performance.now();
  const [claimed] = await store.claim([{ ...request, leaseMs: 60_000 }]);
  const elapsed = performance.now() - began;
  const jobs = claimed?.jobs ?? [];
  if (jobs.length !== CLAIM_ROWS) throw new Error(`${jobs.length} jobs were claimed`);
  await store.settle(jobs.map(({ id, attempt }) => ({ fence: { job: id, attempt, session: 's' }, outcome: OUTCOME })));
  return elapsed;
}

async function besideMany(postgres: TestPostgres) {
  const [few, many] = [await open(postgres), await open(postgres)];
  console.log(`filling ${DECIDED} decided and ${WAITING} waiting jobs …`);
  await fill(postgres, many.database);
  const times = { fewMs: [] as number[], manyMs: [] as number[] };
  // In turn, so that whatever else the machine does meets both.
  for (let n = -20; n < CLAIMS; n += 1) {
    const [one, other] = [await claimOnce(few.store), await claimOnce(many.store)];
    if (n < 0) continue;
    times.fewMs.push(one);
    times.manyMs.push(other);
  }
  await few.store.stop();
  await many.store.stop();
  return { fewMs: median(times.fewMs), manyMs: median(times.manyMs) };
}

// ---- all of it -------------------------------------------------------------------------------------------------------

const postgres = await startPostgres({ settings: DURABLE });
try {
  const beside = await besideMany(postgres);
  console.log(
    `a claim of ${CLAIM_ROWS}: ${beside.fewMs.toFixed(2)} ms with few, ${beside.manyMs.toFixed(2)} ms beside many`,
  );
  const results: Record<string, Measured[]> = {};
  const note = (name: string, one: Measured): void => {
    (results[name] ??= []).push(one);
    console.log(
      `${name}: ${one.jobsPerSecond.toFixed(0)} jobs/s${one.statementsPerJob > 0 ? `, ${one.statementsPerJob.toFixed(3)} statements a job` : ''}`,
    );
  };
  const loads: number[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    loads.push(loadavg()[0]!);
    console.log(`round ${round}/${rounds}, load average ${loads.at(-1)!.toFixed(1)}`);
    for (const processes of GATEWAYS)
      note(`postern callers ${processes}`, await together(postgres, 'postern', 'callers', processes));
    for (const kind of ['pg-boss', 'graphile'] as const)
      note(`${kind} callers 1`, await together(postgres, kind, 'callers', 1));
    // In turn, and the other way round in every other round: what else the machine does meets all of them.
    const order = round % 2 === 1 ? PEERS : PEERS.toReversed();
    for (const kind of order) note(`${kind} bulk 1`, await together(postgres, kind, 'bulk', 1));
  }
  const rate = (name: string): number => median((results[name] ?? []).map((one) => one.jobsPerSecond));
  /** The middle of what single rounds say: a round's sides ran beside the same neighbours. */
  const paired = (name: string, peer: string): number =>
    median((results[name] ?? []).map((one, round) => one.jobsPerSecond / results[peer]![round]!.jobsPerSecond));
  const statements = (name: string): number => median((results[name] ?? []).map((one) => one.statementsPerJob));
  record(
    'postgres',
    [
      atMost(
        'a claim beside 1,000,000 decided and 100,000 waiting jobs, to one beside few',
        beside.manyMs / beside.fewMs,
        '×',
        1.2,
      ),
      atLeast('256 callers, one job each: to pg-boss', paired('postern callers 1', 'pg-boss callers 1'), '×', 1),
      atLeast(
        '256 callers, one job each: to graphile-worker',
        paired('postern callers 1', 'graphile callers 1'),
        '×',
        0.5,
      ),
      atLeast('10,000 jobs in batches of 1,000: to pg-boss', paired('postern bulk 1', 'pg-boss bulk 1'), '×', 1),
      atLeast(
        '10,000 jobs in batches of 1,000: to graphile-worker',
        paired('postern bulk 1', 'graphile bulk 1'),
        '×',
        0.5,
      ),
    ],
    {
      loadAverages: loads,
      claimMs: beside,
      jobsPerSecond: Object.fromEntries(Object.keys(results).map((name) => [name, Math.round(rate(name))])),
      statementsPerJob: Object.fromEntries(
        Object.keys(results)
          .filter((name) => name.startsWith('postern'))
          .map((name) => [name, statements(name)]),
      ),
      rounds: results,
    },
  );
} finally {
  await postgres.remove();
}
