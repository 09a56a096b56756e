/** What happens to PostgreSQL, and to the way there, must cost time and nothing else: no job lost, none decided twice, none changed. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { Client } from 'pg';
import { systemClock } from '../../src/clock.ts';
import { Secret } from '../../src/secret.ts';
import { createPostgresStore } from '../../src/store/postgres/postgres.ts';
import type { Store } from '../../src/store/store.ts';
import { openProxy } from '../support/proxy.ts';
import { cannotRunPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';
import { LEASE_MS, startPostgresLoad } from './postgres-load.ts';

const skip = cannotRunPostgres();
/** Decided between two faults: long enough that all sorts of calls are under way. */
const BETWEEN = 150;
const MAX_CONNECTIONS = 30;

/** Three gateways' stores, each behind a way that can be cut. */
async function scene(t: TestContext) {
  const postgres = await startPostgres({
    settings: { fsync: 'on', max_connections: String(MAX_CONNECTIONS), superuser_reserved_connections: '3' },
  });
  t.after(() => postgres.remove());
  const database = await postgres.createDatabase();
  const ways = await Promise.all(Array.from({ length: 3 }, () => openProxy(postgres.port)));
  const stores: Store[] = [];
  for (const { port } of ways) {
    const store = createPostgresStore({
      clock: systemClock,
      url: new Secret(postgres.tcpUrlOf(database, port)),
      blobs: null,
      queueLimitJobs: 100_000,
      maxAttempts: 50,
      leaseMs: LEASE_MS,
      connectMs: 2_000,
      answerMs: 4_000,
    });
    await store.start();
    stores.push(store);
  }
  t.after(async () => {
    await Promise.all(stores.map((store) => store.stop()));
    await Promise.all(ways.map((way) => way.close()));
  });
  return { postgres, database, ways, load: startPostgresLoad(stores) };
}

const terminate = (postgres: TestPostgres, database: string) =>
  postgres.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}' AND pid <> pg_backend_pid()`,
  );

test(
  'backends are terminated, the server stops as after kill -9 and starts again',
  { skip, timeout: 280_000 },
  async (t) => {
    const { postgres, database, load } = await scene(t);
    await load.more(BETWEEN);
    for (let round = 0; round < 5; round += 1) {
      await terminate(postgres, database);
      await load.more(BETWEEN);
    }
    for (const mode of ['immediate', 'fast'] as const) {
      await postgres.stop(mode);
      await postgres.start();
      await load.more(BETWEEN);
    }
    assert.deepEqual(await load.finish(), []);
    assert.ok(load.refusals() > 0, 'nobody noticed anything');
    t.diagnostic(`${load.decided()} decided, ${load.refusals()} calls refused meanwhile`);
  },
);

test(
  'connections break, in the middle of answers, silently, or cannot be had',
  { skip, timeout: 280_000 },
  async (t) => {
    const { postgres, database, ways, load } = await scene(t);
    await load.more(BETWEEN);
    for (let round = 0; round < 3; round += 1) {
      for (const { connections } of ways) for (const one of connections) one.cut();
      await load.more(BETWEEN);
      // What was asked arrives, and the answer does not: whoever asked cannot know.
      for (const { connections } of ways)
        for (const one of connections) one.endAfter('down', 50 + 400 * round, 'reset');
      await load.more(BETWEEN);
      for (const one of ways[round]!.connections) one.silence();
      await load.more(BETWEEN);
    }
    // Others take what connections there are while ours are gone.
    const hogs: Client[] = [];
    for (let n = 0; n < MAX_CONNECTIONS; n += 1) {
      const hog = new Client({ connectionString: postgres.urlOf('postgres') });
      hog.on('error', () => undefined);
      hogs.push(hog);
    }
    await terminate(postgres, database);
    const held = await Promise.all(
      hogs.map((hog) =>
        hog.connect().then(
          () => true,
          () => false,
        ),
      ),
    );
    assert.ok(
      held.filter((isHeld) => isHeld).length > MAX_CONNECTIONS / 3,
      'there were connections left for everybody',
    );
    const refusals = load.refusals();
    await Promise.all(hogs.map((hog) => hog.end().catch(() => undefined)));
    await load.more(BETWEEN);
    assert.deepEqual(await load.finish(), []);
    t.diagnostic(
      `${load.decided()} decided, ${load.refusals()} calls refused meanwhile, ${refusals} before connections were short`,
    );
  },
);
