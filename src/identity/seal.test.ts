import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { test } from 'node:test';
import { makeKeyPem } from './certificate.ts';
import { createSeal } from './seal.ts';

const SECRET = Buffer.from('a secret of thirty-two bytes ...');

void test('what was sealed is opened with the same key and under the same name, and not otherwise', () => {
  const [key, other] = [makeKeyPem(), makeKeyPem()];
  const sealed = createSeal(key).close('webhooks 1', SECRET);
  assert.equal(Buffer.from(sealed).includes(SECRET.subarray(0, 8)), false);
  assert.deepEqual(createSeal(key).open('webhooks 1', sealed), SECRET);
  assert.equal(createSeal(other).open('webhooks 1', sealed), null);
  assert.equal(createSeal(key).open('webhooks 2', sealed), null);
  for (let at = 0; at < sealed.length; at += 1) {
    const changed = Uint8Array.from(sealed);
    changed[at]! ^= 1;
    assert.equal(createSeal(key).open('webhooks 1', changed), null, `byte ${at}`);
    assert.equal(createSeal(key).open('webhooks 1', sealed.subarray(0, at)), null, `cut to ${at}`);
  }
  assert.notDeepEqual(createSeal(key).close('webhooks 1', SECRET), sealed);
});

void test('how the key is written down does not matter', () => {
  const key = makeKeyPem();
  const sealed = createSeal(key).close('a', SECRET);
  const sec1 = createPrivateKey(key).export({ type: 'sec1', format: 'pem' }).toString();
  assert.notEqual(sec1, key);
  assert.deepEqual(createSeal(sec1).open('a', sealed), SECRET);
});
