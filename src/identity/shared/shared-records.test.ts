/** Control records of several gateways, on a real PostgreSQL. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { suite, test, type TestContext } from 'node:test';
import { systemClock } from '../../clock.ts';
import { Secret } from '../../secret.ts';
import { openProxy } from '../../../test/support/proxy.ts';
import { cannotRunPostgres, startPostgres, testPostgres } from '../../../test/support/postgres.ts';
import { appendAudit, auditHead, listAudit, prepareAudit, verifyAudit } from '../audit.ts';
import { openRecords, type RecordArea, type Records } from '../records.ts';
import { openWorkers } from '../workers.ts';
import { openSharedRecords, type SharedRecordsOptions } from './shared-records.ts';

const NOTES: RecordArea = { name: 'notes', steps: ['CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT) STRICT'] };
const ACT = { actor: 'cli:test', at: 1_000 };

async function database(): Promise<string> {
  const postgres = await testPostgres();
  return postgres.urlOf(await postgres.createDatabase());
}

function gateway(t: TestContext, url: string, options: Partial<SharedRecordsOptions> = {}): Records {
  const records = openSharedRecords({ url: new Secret(url), clock: systemClock, ...options });
  t.after(() => records.close());
  return records;
}

const textsOf = (records: Records): unknown[] =>
  records.db
    .prepare('SELECT text FROM note ORDER BY id')
    .all()
    .map((row) => row.text);
const note = (records: Records, text: string): void =>
  records.write((db) => void db.prepare('INSERT INTO note (text) VALUES (?)').run(text));

/** Resolves when `isSo` after a change that somebody else made. */
function until(records: Records, isSo: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const end = records.onChange(() => {
      if (!isSo()) return;
      end();
      resolve();
    });
    records.watch(systemClock, () => undefined);
    if (isSo()) resolve();
  });
}

void suite('shared control records', { skip: cannotRunPostgres() }, () => {
  void test('what one gateway writes, another reads, and its own snapshots are new at once', async (t) => {
    const url = await database();
    const [one, two] = [gateway(t, url), gateway(t, url)];
    for (const records of [one, two]) records.prepare(NOTES);
    const count = two.snapshot((db) => db.prepare('SELECT count(*) AS n FROM note').get()?.n);
    const own = one.snapshot((db) => db.prepare('SELECT count(*) AS n FROM note').get()?.n);
    note(one, 'a');
    assert.equal(own.value, 1);
    await until(two, () => count.value === 1);
    note(two, 'b');
    await until(one, () => own.value === 2);
    assert.deepEqual(textsOf(one), ['a', 'b']);
  });

  void test('a write sees all writes before it, also those that were not heard of yet', async (t) => {
    const url = await database();
    const [one, two] = [gateway(t, url), gateway(t, url)];
    for (const records of [one, two]) records.prepare(NOTES);
    note(one, 'a');
    assert.deepEqual(
      two.write((db) => db.prepare('SELECT text FROM note').all().length),
      1,
    );
  });

  void test('what throws takes everything back, here and for others', async (t) => {
    const url = await database();
    const [one, two] = [gateway(t, url), gateway(t, url)];
    for (const records of [one, two]) records.prepare(NOTES);
    assert.throws(
      () =>
        one.write((db) => {
          db.exec("INSERT INTO note (text) VALUES ('never')");
          throw new Error('changed my mind');
        }),
      /changed my mind/,
    );
    assert.deepEqual(textsOf(one), []);
    note(two, 'b');
    assert.deepEqual(textsOf(two), ['b']);
  });

  void test('workers: an invitation counts once in the cluster, and a revocation arrives', async (t) => {
    const url = await database();
    const [one, two] = [openWorkers(gateway(t, url)), openWorkers(gateway(t, url))];
    const certificate = (key: string) => ({
      fingerprint: key.repeat(64),
      worker: 'gpu-1',
      generation: 1,
      authority: 1,
      key,
      pem: '',
      startsAt: 0,
      endsAt: 9e12,
    });
    one.invite({ id: 'i', digest: 'd', worker: 'gpu-1', models: null, expiresAt: 9e12 }, ACT);
    const invitation = {
      id: 'i',
      digest: 'd',
      worker: 'gpu-1',
      models: null,
      expiresAt: 9e12,
      usedAt: null,
      usedKey: null,
    };
    assert.equal(two.redeem(invitation, certificate('a'), ACT, '192.0.2.1'), true);
    assert.equal(one.redeem(invitation, certificate('b'), ACT, '192.0.2.2'), false);
    assert.equal(one.revoke('gpu-1', ACT), true);
    assert.equal(two.renew({ ...certificate('c'), generation: 2 }, false, 2_000), true);
    assert.notEqual(two.book.value.workers.get('gpu-1')?.revokedAt, null);
  });

  void test('the first gateway brings what one machine had, and only the first', async (t) => {
    const url = await database();
    const folder = mkdtempSync(join(tmpdir(), 'postern-seed-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const alone = openRecords(folder);
    alone.prepare(NOTES);
    note(alone, 'from before');
    const seed = (): Uint8Array => alone.db.serialize();
    const first = gateway(t, url, { seed });
    first.prepare(NOTES);
    note(alone, 'too late');
    const second = gateway(t, url, { seed });
    second.prepare(NOTES);
    alone.close();
    assert.deepEqual([textsOf(first), textsOf(second)], [['from before'], ['from before']]);
  });

  void test('an image takes the place of many entries, and whoever is behind it catches up', async (t) => {
    const url = await database();
    const limits = { entries: 5, bytes: 1 << 20 };
    const [one, two] = [gateway(t, url, { limits }), gateway(t, url, { limits })];
    for (const records of [one, two]) records.prepare(NOTES);
    for (let n = 0; n < 23; n += 1) note(one, String(n));
    const postgres = await testPostgres();
    const [kept] = await postgres.query('SELECT count(*) AS n FROM postern_control_log', /\/(\w+)\?/.exec(url)?.[1]);
    assert.ok(Number(kept?.n) <= 6, `${String(kept?.n)} entries are kept`);
    note(two, 'last');
    assert.equal(textsOf(two).length, 24);
    const three = gateway(t, url);
    three.prepare(NOTES);
    assert.deepEqual(textsOf(three), textsOf(two));
  });

  void test('a release that knows fewer tables takes none away from the others', async (t) => {
    const url = await database();
    const limits = { entries: 2, bytes: 1 << 20 };
    const older = gateway(t, url, { limits });
    older.prepare(NOTES);
    const newer = gateway(t, url, { limits: { entries: 1_000, bytes: 1 << 20 } });
    newer.prepare(NOTES);
    newer.prepare({ name: 'marks', steps: ['CREATE TABLE mark (id INTEGER PRIMARY KEY) STRICT'] });
    newer.write((db) => db.exec('INSERT INTO mark VALUES (7)'));
    for (let n = 0; n < 6; n += 1) note(older, String(n));
    const last = gateway(t, url);
    assert.equal(last.db.prepare('SELECT id FROM mark').get()?.id, 7);
    assert.equal(textsOf(last).length, 6);
  });

  void test('a gateway that learns of a table later has what others wrote into it before', async (t) => {
    const url = await database();
    const [one, two] = [gateway(t, url), gateway(t, url)];
    one.prepare(NOTES);
    note(one, 'a');
    two.write(() => undefined);
    two.prepare(NOTES);
    assert.deepEqual(textsOf(two), ['a']);
  });

  void test('the chain of the audit log holds while several processes write it at once', async (t) => {
    const url = await database();
    const writers = await Promise.all(['x', 'y', 'z'].map((name) => process_(t, url, name)));
    const WRITES = 25;
    await Promise.all(
      writers.map(async (writer, index) => {
        for (let n = 0; n < WRITES; n += 1) assert.equal(await writer.say(`write ${index}-${n}`), 'written');
      }),
    );
    const reader = gateway(t, url);
    prepareAudit(reader);
    const verdict = verifyAudit(reader.db, null);
    assert.ok(verdict.isIntact);
    assert.equal(verdict.head.seq, writers.length * WRITES);
    const targets = listAudit(reader.db, { limit: 1_000, beforeSeq: null }).map(({ target }) => target);
    assert.equal(new Set(targets).size, writers.length * WRITES);
  });

  void test('without PostgreSQL nothing is written and everything is read; with it again, all goes on', async (t) => {
    const postgres = await startPostgres();
    t.after(() => postgres.remove());
    const url = postgres.urlOf(await postgres.createDatabase());
    const records = gateway(t, url);
    records.prepare(NOTES);
    note(records, 'a');
    await postgres.stop('immediate');
    assert.throws(() => note(records, 'b'), { code: 'storage_failed' });
    assert.deepEqual(textsOf(records), ['a']);
    await postgres.start();
    // It is tried in the background, and from then on nobody is refused any more.
    const other = gateway(t, url);
    other.prepare(NOTES);
    note(other, 'c');
    await until(records, () => textsOf(records).length === 2);
    note(records, 'd');
    assert.deepEqual(textsOf(records), ['a', 'c', 'd']);
  });

  void test('a change whose answer was lost is told as a failure, and arrives when it was committed', async (t) => {
    const postgres = await testPostgres();
    const name = await postgres.createDatabase();
    const proxy = await openProxy(postgres.port);
    t.after(() => proxy.close());
    const writer = await process_(t, postgres.tcpUrlOf(name, proxy.port), 'w');
    assert.equal(await writer.say('write one'), 'written');
    const witness = gateway(t, postgres.urlOf(name));
    prepareAudit(witness);
    witness.watch(systemClock, () => undefined);
    // Up goes through, down is lost: PostgreSQL takes the lock for it, and nobody hears. It is given back with the connection.
    proxy.onConnection = (connection) => connection.drop('down');
    for (const connection of proxy.connections) connection.drop('down');
    assert.equal(await writer.say('write two'), 'storage_failed');
    proxy.onConnection = () => undefined;
    for (const connection of proxy.connections) connection.cut();
    for (let answer = ''; answer !== 'written';) answer = await writer.say('write three');
    const head = auditHead(witness.db);
    await until(
      witness,
      () => auditHead(witness.db).seq > head.seq || listAudit(witness.db, { limit: 9, beforeSeq: null }).length > 1,
    );
    const mine = JSON.parse(await writer.say('list')) as string[];
    const theirs = listAudit(witness.db, { limit: 100, beforeSeq: null }).map(({ target }) => target);
    assert.deepEqual(mine, theirs);
    assert.ok(verifyAudit(witness.db, null).isIntact);
    assert.equal(mine[0], 'three');
  });

  void test('the audit log of a cluster is written by whoever acts, in the step of the act', async (t) => {
    const url = await database();
    const records = gateway(t, url);
    prepareAudit(records);
    records.write((db) => appendAudit(db, { ...ACT, action: 'key.create', target: 'key:a', detail: {} }));
    assert.equal(listAudit(records.db, { limit: 1, beforeSeq: null })[0]?.target, 'key:a');
  });

  void test('a database that refuses us is told as a mistake of the settings', async () => {
    const postgres = await testPostgres();
    const url = new Secret(postgres.urlOf('there_is_no_such_database'));
    assert.throws(() => openSharedRecords({ url, clock: systemClock }), { code: 'config_invalid' });
  });
});

interface WriterProcess {
  /** One line; the answer. */
  say(line: string): Promise<string>;
}

async function process_(t: TestContext, url: string, name: string): Promise<WriterProcess> {
  const file = new URL('../../../test/support/shared-records-process.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [file, url, name], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => String((await lines.next()).value);
  assert.equal(await next(), 'ready');
  return {
    say(line) {
      child.stdin.write(`${line}\n`);
      return next();
    },
  };
}
