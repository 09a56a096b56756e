import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createIds } from './id.ts';

const V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

function idsAt(start: number, bytes = (count: number): Uint8Array => randomBytes(count)) {
  const clock = { ms: start, now: () => clock.ms };
  return { clock, next: createIds(clock, bytes) };
}

test('an id is a UUIDv7 with the time in front', () => {
  const { next } = idsAt(0x0123_4567_89ab);
  const id = next();
  assert.match(id, V7);
  assert.equal(id.slice(0, 13), '01234567-89ab');
});

test('known random bytes give a known id', () => {
  const { next } = idsAt(0x0199_0000_0001, (count) => Uint8Array.from({ length: count }, (_, i) => i));
  assert.equal(next(), '01990000-0001-7001-8203-040506070809');
});

test('ids grow: within a millisecond, beyond its counter, and when the clock goes back', () => {
  const { clock, next } = idsAt(1_000);
  let last = next();
  for (let i = 0; i < 20_000; i += 1) {
    if (i === 10_000) clock.ms = 0;
    if (i === 15_000) clock.ms = 5_000;
    const id = next();
    assert.match(id, V7);
    assert.ok(id > last, `${id} after ${last}`);
    last = id;
  }
});

test('no two ids are alike, and nothing but time and counter can be foreseen', () => {
  const { next } = idsAt(1_000);
  const tails = new Set(Array.from({ length: 10_000 }, () => next().slice(19)));
  assert.equal(tails.size, 10_000);
});
