import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf, equalDigests, faultOf, idOf, makeToken, TOKEN_SHAPE } from './token.ts';

void test('a new token has the published shape, its own id, and no fault', () => {
  for (let n = 0; n < 200; n += 1) {
    const { id, token } = makeToken();
    assert.match(token, TOKEN_SHAPE);
    assert.equal(idOf(token), id);
    assert.equal(faultOf(token), null);
  }
});

void test('no two tokens are alike, and every character of the alphabet comes up', () => {
  const tokens = Array.from({ length: 500 }, () => makeToken().token);
  assert.equal(new Set(tokens).size, tokens.length);
  const secrets = tokens.map((token) => token.slice(21, 64)).join('');
  assert.equal(new Set(secrets).size, 62);
});

void test('one wrong character anywhere is noticed without asking anybody', () => {
  const { token } = makeToken();
  for (let at = 0; at < token.length; at += 1) {
    for (const wrong of ['A', 'z', '0', '_', '-', 'é']) {
      if (token[at] === wrong) continue;
      const changed = token.slice(0, at) + wrong + token.slice(at + 1);
      assert.notEqual(faultOf(changed), null, `character ${at} as ${wrong}`);
    }
  }
});

void test('two neighbours swapped, a cut and an addition are noticed', () => {
  const { token } = makeToken();
  for (let at = 8; at + 1 < token.length; at += 1) {
    const [a = '', b = ''] = [token[at], token[at + 1]];
    if (a !== b) assert.notEqual(faultOf(token.slice(0, at) + b + a + token.slice(at + 2)), null);
  }
  assert.match(faultOf(token.slice(0, -1)) ?? '', /cut off/);
  assert.notEqual(faultOf(`${token}a`), null);
  assert.match(faultOf('sk-1234') ?? '', /begins with "postern_"/);
});

void test('what is no token has no id', () => {
  const { token } = makeToken();
  for (const text of ['', 'postern_', token.slice(0, -1), `${token}x`, `xostern_${token.slice(8)}`]) {
    assert.equal(idOf(text), '');
  }
});

void test('digests are compared to their end', () => {
  const digest = digestOf('a');
  assert.equal(digest.length, 64);
  assert.ok(equalDigests(digest, digestOf('a')));
  for (let at = 0; at < 64; at += 1) {
    const other = digest.slice(0, at) + (digest[at] === '0' ? '1' : '0') + digest.slice(at + 1);
    assert.ok(!equalDigests(digest, other), `character ${at}`);
  }
  assert.ok(!equalDigests(digest, digest.slice(1)));
  assert.ok(!equalDigests(digest, ''));
});
