import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { Secret } from '../secret.ts';
import { hostTowards } from './peer-host.ts';

const towards = (at: string): Promise<string> => hostTowards(new Secret(`postgres://postern@${at}/postern`));
const hasIpv6 = (networkInterfaces().lo ?? []).some(({ address }) => address === '::1');

void test('a database on this machine is reached from loopback', async () => {
  assert.equal(await towards('127.0.0.1:5432'), '127.0.0.1');
  assert.equal(await towards('127.0.0.1'), '127.0.0.1');
  assert.equal(await towards('%2Fvar%2Frun%2Fpostgresql'), '127.0.0.1');
});

void test('over IPv6 from its address of that family', { skip: !hasIpv6 && 'no IPv6 here' }, async () => {
  assert.equal(await towards('[::1]:5432'), '::1');
});

void test('where the way is not known the port is not opened on all interfaces', async () => {
  assert.equal(await towards('database.invalid:5432'), '127.0.0.1');
  assert.equal(await towards('0.0.0.0'), '127.0.0.1');
  // Kept for documentation: whether there is a way or none, the address is one of this machine.
  for (const name of ['[2001:db8::1]', '[fe80::1]', '192.0.2.1', '255.255.255.255']) {
    assert.ok(!['0.0.0.0', '::'].includes(await towards(name)), name);
  }
});
