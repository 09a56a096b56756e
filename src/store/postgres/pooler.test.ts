/** Behind a pooler in transaction mode the store must give the same answers; only notifications need the database itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cannotRunPgbouncer, startPgbouncer } from '../../../test/support/pgbouncer.ts';
import { cannotRunPostgres, testPostgres } from '../../../test/support/postgres.ts';
import { startPostgresLoad } from '../../../test/crash/postgres-load.ts';
import { systemClock } from '../../clock.ts';
import { Secret } from '../../secret.ts';
import { createPostgresStore } from './postgres.ts';

const skip = cannotRunPostgres() || cannotRunPgbouncer();

test(
  'two gateways work through a pooler of four connections, and hear each other past it',
  { skip, timeout: 120_000 },
  async (t) => {
    const postgres = await testPostgres();
    const database = await postgres.createDatabase();
    const port = await startPgbouncer(t, postgres, 4);
    const stores = [0, 1].map(() =>
      createPostgresStore({
        clock: systemClock,
        url: new Secret(postgres.tcpUrlOf(database, port)),
        listenUrl: new Secret(postgres.urlOf(database)),
        blobs: null,
        queueLimitJobs: 100_000,
        connectMs: 30_000,
        answerMs: 60_000,
      }),
    );
    for (const store of stores) await store.start();
    const heard = new Promise<void>((resolve) => {
      stores[1]!.onHint!((hint) => {
        if (hint.type === 'waiting') resolve();
      });
    });
    const load = startPostgresLoad(stores);
    let isHeard = false;
    const telling = (async () => {
      while (!isHeard) {
        stores[0]!.tellWaiting!(['plants']);
        await stores[0]!.probe();
      }
    })();
    await heard;
    isHeard = true;
    await Promise.all([load.more(200), telling]);
    assert.deepEqual(await load.finish(), []);
    assert.equal(load.refusals(), 0);
    const pooled = await postgres.query(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = '${database}' AND client_port > 0`,
    );
    assert.ok(Number(pooled[0]?.n) <= 4, 'more connections than the pooler has');
    await Promise.all(stores.map((store) => store.stop()));
  },
);
