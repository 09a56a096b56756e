/** The keys of webhooks of several gateways, on a real PostgreSQL. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { createManualClock } from '../../../test/support/manual-clock.ts';
import { cannotRunPostgres, testPostgres } from '../../../test/support/postgres.ts';
import { systemClock } from '../../clock.ts';
import { listAudit } from '../../identity/audit.ts';
import { authorityFiles, openAuthority, type Authority } from '../../identity/authority.ts';
import type { Records } from '../../identity/records.ts';
import { openSharedRecords } from '../../identity/shared/shared-records.ts';
import { Secret } from '../../secret.ts';
import { OVERLAP_MS, readMasters, createWebhookSecrets, type MasterKey } from './secrets.ts';
import { createSharedWebhookSecrets } from './shared-secrets.ts';

const ACT = { actor: 'cli:test', at: 1_000 };

interface Site {
  readonly url: string;
  readonly folder: string;
  readonly clock: ReturnType<typeof createManualClock>;
  readonly authority: (number: number) => Promise<Authority>;
  readonly gateway: (authorities: readonly Authority[], seed?: readonly MasterKey[] | null) => Gateway;
}

interface Gateway extends ReturnType<typeof createSharedWebhookSecrets> {
  readonly records: Records;
  trusted: readonly Authority[];
}

async function site(t: TestContext): Promise<Site> {
  const postgres = await testPostgres();
  const url = postgres.urlOf(await postgres.createDatabase());
  const folder = mkdtempSync(join(tmpdir(), 'postern-keys-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const clock = createManualClock();
  return {
    url,
    folder,
    clock,
    authority: (number) => openAuthority(folder, systemClock, number),
    gateway(authorities, seed = null) {
      const records = openSharedRecords({ url: new Secret(url), clock: systemClock });
      records.watch(systemClock, () => undefined);
      t.after(() => records.close());
      const gateway: { trusted: readonly Authority[] } = { trusted: authorities };
      const secrets = createSharedWebhookSecrets({
        ...{ records, clock },
        authorities: () => gateway.trusted,
        seed: () => Promise.resolve(seed),
      });
      return Object.assign(gateway, secrets, { records });
    },
  };
}

/** Resolves when `isSo`, looking again after each change that somebody else made. */
async function until({ records }: Gateway, isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo()))
    await new Promise<void>((resolve) => {
      const end = records.onChange(() => {
        end();
        resolve();
      });
    });
}

void suite('keys of webhooks that gateways share', { skip: cannotRunPostgres() }, () => {
  void test('all gateways sign alike, and a rotation at one counts at the others; the old key for a day more', async (t) => {
    const { gateway, authority, clock } = await site(t);
    const own = [await authority(1)];
    const [one, two] = [gateway(own), gateway(own)];
    await Promise.all([one.open(), two.open()]);
    const before = await one.secretOf('anna');
    assert.equal(await two.secretOf('anna'), before);
    assert.notEqual(await two.secretOf('ben'), before);
    await two.rotate(ACT);
    const after = await two.secretOf('anna');
    assert.notEqual(after, before);
    await until(one, async () => (await one.secretOf('anna')) === after);
    assert.equal((await one.keysOf('anna')).length, 2);
    clock.advance(OVERLAP_MS);
    assert.equal((await one.keysOf('anna')).length, 1);
    assert.equal(listAudit(one.records.db, { limit: 1, beforeSeq: null })[0]?.action, 'webhooks.rotate');
    await one.rotate(ACT);
    await one.rotate(ACT);
    assert.equal((await one.keysOf('anna')).length, 2, 'the oldest is over at once');
  });

  void test('the first gateway brings what its machine had, and only the first', async (t) => {
    const { gateway, authority, folder } = await site(t);
    const own = [await authority(1)];
    const path = join(folder, 'webhook-keys.json');
    const alone = createWebhookSecrets(path, systemClock);
    await alone.rotate(ACT);
    const masters = (await readMasters(path))!;
    assert.equal(masters.length, 2);
    const first = gateway(own, masters);
    await first.open();
    const second = gateway(own, [{ key: Buffer.alloc(32), endsAt: null }]);
    await second.open();
    for (const secrets of [first, second]) assert.deepEqual(await secrets.keysOf('anna'), await alone.keysOf('anna'));
  });

  void test('the database holds no key that could sign', async (t) => {
    const { gateway, authority, url } = await site(t);
    const master = Buffer.from('0123456789abcdef0123456789abcdef');
    const one = gateway([await authority(1)], [{ key: master, endsAt: null }]);
    await one.open();
    await one.rotate(ACT);
    const postgres = await testPostgres();
    const rows = await postgres.query(
      `SELECT bytes FROM postern_control_image UNION ALL SELECT changes FROM postern_control_log`,
      /\/(\w+)\?/.exec(url)?.[1],
    );
    const all = Buffer.concat(rows.map(({ bytes }) => bytes as Buffer));
    assert.ok(all.includes('webhook_key'), 'the tables are in it');
    for (const form of [master, master.toString('base64'), master.toString('hex')])
      assert.equal(all.includes(form), false);
  });

  void test('a gateway with another authority cannot open them, and says what to copy', async (t) => {
    const { gateway, authority, folder } = await site(t);
    await gateway([await authority(1)]).open();
    const strange = await openAuthority(join(folder, 'strange'), systemClock);
    await assert.rejects(gateway([strange]).open(), { code: 'config_invalid', message: /copy ca\.key and ca\.pem/ });
  });

  void test('an authority that is replaced takes no key along, wherever keys are changed meanwhile', async (t) => {
    const { gateway, authority, folder } = await site(t);
    const [old, next] = [await authority(1), await authority(2)];
    const one = gateway([old]);
    await one.open();
    const behind = gateway([old]);
    await behind.open();
    // This one has heard of the next authority; the other one has not, and rotates.
    one.trusted = [old, next];
    await one.open();
    await behind.rotate(ACT);
    const secret = await behind.secretOf('anna');
    await until(one, async () => (await one.secretOf('anna')) === secret);
    // What the end of a replacement does before it removes the old key.
    await one.open();
    one.trusted = [next];
    await one.open();
    assert.equal(one.records.db.prepare('SELECT count(*) AS n FROM webhook_key WHERE authority = 1').get()?.n, 0);
    const copy = join(folder, 'copy');
    for (const path of Object.values(authorityFiles(folder, 2))) cpSync(path, path.replace(folder, copy));
    const late = gateway([await openAuthority(copy, systemClock, 2)]);
    await late.open();
    assert.equal(await late.secretOf('anna'), secret);
    assert.equal((await late.keysOf('anna')).length, 2);
    assert.equal(await behind.secretOf('anna'), secret, 'who had opened it goes on');
  });
});
