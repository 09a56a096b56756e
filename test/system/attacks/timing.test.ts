/**
 * Comparing secrets takes as long whatever they are. Not measured here, where a busy machine decides, but counted: every byte
 * is looked at, and the comparison of the system is used.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { mock, test } from 'node:test';
import { systemClock } from '../../../src/clock.ts';
import { createKeyRing } from '../../../src/identity/keys/ring.ts';
import { equalDigests } from '../../../src/identity/keys/token.ts';
import { equalSecrets } from '../../../src/secret.ts';

/** A text that counts how often it is looked at. */
function counting(text: string): { text: string; looks: () => number } {
  let looks = 0;
  const charCodeAt = (index: number): number => {
    looks += 1;
    return text.charCodeAt(index);
  };
  return { text: { length: text.length, charCodeAt } as unknown as string, looks: () => looks };
}

void test('digests of keys are compared to their end, wherever they differ', () => {
  const right = 'a'.repeat(64);
  for (const [what, other, expected] of [
    ['nowhere', right, true],
    ['in the first character', `b${right.slice(1)}`, false],
    ['in the last character', `${right.slice(1)}b`, false],
    ['in every character', 'b'.repeat(64), false],
  ] as const) {
    const watched = counting(other);
    assert.equal(equalDigests(watched.text, right), expected, what);
    assert.equal(watched.looks(), 64, what);
  }
});

void test('secrets are compared by their hashes, in the system’s constant time, whatever their lengths', (t) => {
  const compare = mock.method(crypto, 'timingSafeEqual');
  syncBuiltinESMExports();
  t.after(() => {
    compare.mock.restore();
    syncBuiltinESMExports();
  });
  for (const [a, b] of [
    ['a', 'a'],
    ['a', 'b'],
    ['', 'a'.repeat(1_000)],
  ] as const) {
    compare.mock.resetCalls();
    assert.equal(equalSecrets(a, b), a === b);
    const lengths = compare.mock.calls.map(({ arguments: [x, y] }) => [x.byteLength, y.byteLength]);
    assert.deepEqual(lengths, [[32, 32]]);
  }
});

void test('an unknown key is hashed and compared like a known one', () => {
  const ring = createKeyRing(systemClock);
  const token = ring.lend(['read']);
  const hash = mock.method(crypto, 'hash');
  syncBuiltinESMExports();
  try {
    const tokens = [token, `${token.slice(0, -1)}_`, token.replace(/^postern_.{12}/, 'postern_aaaaaaaaaaaa')];
    for (const [index, one] of tokens.entries()) {
      if (index === 0) ring.check(one);
      else assert.throws(() => ring.check(one), /API key/);
      assert.equal(hash.mock.callCount(), index + 1);
    }
  } finally {
    hash.mock.restore();
    syncBuiltinESMExports();
  }
});
