import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createManualClock, type ManualClock } from '../../../test/support/manual-clock.ts';
import { silentLogger } from '../../logger.ts';
import { listAudit, verifyAudit } from '../audit.ts';
import { openRecords, POLL_MS, type Records } from '../records.ts';
import { createCallers } from '../callers.ts';
import type { KeyWish } from './key.ts';
import { createKey, listKeys, prepareKeys, revokeKey } from './records.ts';
import type { HeldKey, KeyRing } from './ring.ts';
import { makeToken } from './token.ts';

interface Scene {
  readonly clock: ManualClock;
  /** As a command opens them, beside the gateway. */
  readonly records: Records;
  readonly keys: KeyRing;
  readonly folder: string;
  readonly make: (wish: Partial<KeyWish>) => { readonly id: string; readonly token: string };
  /** Until the gateway has noticed what the command did. */
  readonly notice: () => void;
  readonly stop: () => Promise<void>;
}

async function scene(t: TestContext): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-keys-'));
  const clock = createManualClock();
  const [records, gateways] = [openRecords(folder), openRecords(folder)];
  prepareKeys(records);
  const following = createCallers({ records: gateways, clock, logger: silentLogger });
  const { keys } = following;
  gateways.watch(clock, (error) => assert.ifError(error));
  await following.start();
  const stop = async (): Promise<void> => {
    await following.stop();
    gateways.close();
  };
  t.after(async () => {
    await stop();
    records.close();
    rmSync(folder, { recursive: true });
  });
  const make: Scene['make'] = (wish) => {
    const { record, token } = createKey(records, { name: 'test', ...wish }, { actor: 'cli:ada', at: clock.now() });
    return { id: record.id, token };
  };
  return { clock, records, keys, folder, make, notice: () => clock.advance(POLL_MS), stop };
}

const refusal = (code: string, message: RegExp) => ({ code, message });

void test('a ring is open until the first key, and stays closed when the last one ends', async (t) => {
  const { keys, make, notice, records, clock } = await scene(t);
  assert.equal(keys.isClosed, false);
  const { id, token } = make({});
  notice();
  assert.equal(keys.isClosed, true);
  assert.equal(keys.check(token).caller, id);
  revokeKey(records, id, { actor: 'cli:ada', at: clock.now() });
  notice();
  assert.throws(() => keys.check(token), refusal('unauthorized', /revoked/));
  assert.equal(keys.isClosed, true);
});

void test('who waits with a key hears that it ended, by revocation and by time, once', async (t) => {
  const { keys, make, notice, records, clock } = await scene(t);
  const [revoked, expired] = [make({}), make({ expiresAt: clock.now() + 60_000 })];
  notice();
  const ended: HeldKey[] = [];
  keys.onEnded((key) => ended.push(key));
  const [one, other] = [keys.check(revoked.token), keys.check(expired.token)];
  revokeKey(records, revoked.id, { actor: 'cli:ada', at: clock.now() });
  notice();
  assert.deepEqual(ended, [one]);
  clock.advance(60_000);
  assert.deepEqual(ended, [one, other]);
  assert.throws(() => keys.check(expired.token), refusal('unauthorized', /time is over/));
  clock.advance(60_000);
  assert.equal(ended.length, 2);
});

void test('an expired key is refused at once, also before anybody looked', async (t) => {
  const { keys, make, notice, clock } = await scene(t);
  const { token } = make({ expiresAt: clock.now() + POLL_MS + 50 });
  notice();
  keys.check(token);
  clock.advance(50);
  assert.throws(() => keys.check(token), refusal('unauthorized', /time is over/));
});

void test('a key that a command has just made counts at once', async (t) => {
  const { keys, make } = await scene(t);
  const { id, token } = make({});
  assert.equal(keys.check(token).caller, id);
  assert.equal(keys.isClosed, true);
});

void test('an unknown key is told nothing about the known ones; a mistyped one is told so', async (t) => {
  const { keys, make, notice } = await scene(t);
  const { token } = make({});
  notice();
  assert.throws(() => keys.check(makeToken().token), refusal('unauthorized', /not known here/));
  // The id of a key that exists, with the secret of another one.
  const forged = `${token.slice(0, 21)}${makeToken().token.slice(21)}`;
  assert.throws(() => keys.check(forged), refusal('unauthorized', /typing error/));
  assert.throws(() => keys.check(''), refusal('unauthorized', /begins with/));
  assert.throws(() => keys.check(`${token} `), refusal('unauthorized', /characters/));
});

void test('a revoked key that is guessed by its id alone hears no more than any unknown one', async (t) => {
  const { keys, make, notice, records, clock } = await scene(t);
  const { id, token } = make({});
  revokeKey(records, id, { actor: 'cli:ada', at: clock.now() });
  notice();
  assert.throws(() => keys.check(token), refusal('unauthorized', /revoked/));
  const guessed = `${token.slice(0, 22)}${token[22] === 'a' ? 'b' : 'a'}${token.slice(23)}`;
  assert.throws(
    () => keys.check(guessed),
    (error: Error) => !error.message.includes('revoked'),
  );
});

void test('a bucket gives the burst at once, then the rate, and keeps its level when other keys change', async (t) => {
  const { keys, make, notice, clock } = await scene(t);
  const { token } = make({ ratePerS: 10, burstRequests: 3 });
  notice();
  const key = keys.check(token);
  const take = (): number => key.take(clock.monotonic());
  assert.deepEqual([take(), take(), take()], [0, 0, 0]);
  assert.equal(take(), 100);
  clock.advance(50);
  assert.equal(Math.round(take()), 50);
  make({});
  notice();
  assert.equal(keys.check(token), key);
  clock.advance(3_600_000);
  assert.deepEqual([take(), take(), take()], [0, 0, 0]);
  assert.equal(take(), 100);
});

void test('use is written down once a minute and at the end, and is no entry of the audit log', async (t) => {
  const { keys, make, notice, records, clock, stop } = await scene(t);
  const [used, unused] = [make({}), make({})];
  notice();
  const before = listAudit(records.db, { limit: 10, beforeSeq: null }).length;
  for (let n = 0; n < 100; n += 1) keys.check(used.token);
  const lastUsed = (id: string): number | null | undefined =>
    listKeys(records.db).find((key) => key.id === id)?.lastUsedAt;
  assert.equal(lastUsed(used.id), null);
  clock.advance(60_000);
  const first = lastUsed(used.id);
  assert.ok(typeof first === 'number');
  assert.equal(lastUsed(unused.id), null);
  clock.advance(5_000);
  keys.check(used.token);
  await stop();
  assert.equal(lastUsed(used.id), clock.now());
  assert.equal(listAudit(records.db, { limit: 10, beforeSeq: null }).length, before);
});

void test('a lent key works here alone, for as long as the process lives, and asks nobody else for a key', async (t) => {
  const { keys, make, notice, records } = await scene(t);
  const token = keys.lend(['read']);
  assert.equal(keys.isClosed, false);
  assert.deepEqual([...keys.check(token).scopes], ['read']);
  make({});
  notice();
  keys.check(token);
  assert.equal(listKeys(records.db).length, 1);
});

void test('making and revoking are in the audit log, and no key is on the disk', async (t) => {
  const { records, folder, make, clock } = await scene(t);
  const { id, token } = make({ name: 'web', models: ['plants'], ratePerS: 5 });
  revokeKey(records, id, { actor: 'key:abc', at: clock.now() });
  revokeKey(records, id, { actor: 'key:abc', at: clock.now() });
  assert.equal(revokeKey(records, 'unknown', { actor: 'key:abc', at: clock.now() }), null);
  const entries = listAudit(records.db, { limit: 10, beforeSeq: null });
  assert.deepEqual(
    entries.map(({ actor, action, target }) => [actor, action, target]),
    [
      ['key:abc', 'key.revoke', `key:${id}`],
      ['cli:ada', 'key.create', `key:${id}`],
    ],
  );
  assert.equal(verifyAudit(records.db, null).isIntact, true);
  const secret = token.slice(21);
  for (const file of readdirSync(folder)) {
    const bytes = readFileSync(join(folder, file));
    assert.ok(!bytes.includes(secret), `${file} holds the key`);
  }
  assert.ok(!JSON.stringify(listKeys(records.db)).includes('digest'));
});

const impossible: readonly (readonly [what: string, wish: unknown, message: RegExp])[] = [
  ['no name', {}, /name/],
  ['an empty name', { name: '' }, /name/],
  ['a name that moves the cursor', { name: 'a\u001b[2Jb' }, /printable/],
  ['a name that turns the writing', { name: 'a\u202eb' }, /printable/],
  ['no scope', { name: 'a', scopes: [] }, /scopes/],
  ['an unknown scope', { name: 'a', scopes: ['root'] }, /scopes/],
  ['no model', { name: 'a', models: [] }, /models/],
  ['a model that climbs', { name: 'a', models: ['../x'] }, /models/],
  ['an admin of one model', { name: 'a', scopes: ['admin'], models: ['plants'] }, /all of them/],
  ['a rate of zero', { name: 'a', ratePerS: 0 }, /ratePerS/],
  ['a rate that is no number', { name: 'a', ratePerS: NaN }, /ratePerS/],
  ['a burst without a rate', { name: 'a', burstRequests: 5 }, /burstRequests/],
  ['a quota of zero', { name: 'a', maxUndecidedJobs: 0 }, /maxUndecidedJobs/],
  ['an end in the past', { name: 'a', expiresAt: 1 }, /expiresAt/],
  ['a field that does not exist', { name: 'a', id: 'mine' }, /id/],
];
for (const [what, wish, message] of impossible) {
  void test(`a key with ${what} is not made`, async (t) => {
    const { records, clock } = await scene(t);
    assert.throws(
      () => createKey(records, wish as KeyWish, { actor: 'cli:ada', at: clock.now() }),
      refusal('bad_parameter', message),
    );
    assert.equal(listKeys(records.db).length, 0);
  });
}
