import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ModelState } from '../protocol/messages.ts';
import { assignShares, mainVersion, type Route } from './route.ts';
import { newOffer, newSession } from './session.ts';

const route = (weights: Record<string, number>, standby: readonly string[] = []): Route => ({
  weights: new Map(Object.entries(weights)),
  standby,
});

/** What each version serves for, with these states on one session. */
function served(states: Record<string, ModelState>, of: Route | null): Record<string, string | null> {
  const session = newSession('s', 'w');
  const offers = Object.entries(states).map(([version, state]) => {
    const offer = newOffer(session, 'plants', version);
    offer.report = { name: 'plants', version, state, kind: 'echo', maxRows: 1 };
    return offer;
  });
  assignShares(offers, of);
  return Object.fromEntries(offers.map(({ version, servesFor }) => [version, servesFor]));
}

void test('without a route the newest version that is ready serves', () => {
  assert.deepEqual(served({ 9: 'ready', 10: 'ready', 11: 'loading' }, null), { 9: null, 10: '', 11: null });
});

void test('a session serves the route as soon as its version is ready, and stays with what it has until then', () => {
  const deployed = route({ 2: 100 }, ['1']);
  assert.deepEqual(served({ 1: 'ready', 2: 'loading' }, deployed), { 1: '2', 2: null });
  assert.deepEqual(served({ 1: 'ready', 2: 'ready' }, deployed), { 1: null, 2: '2' });
  assert.deepEqual(served({ 1: 'ready', 2: 'failed' }, deployed), { 1: '2', 2: null });
  assert.deepEqual(served({ 0: 'ready', 3: 'ready' }, deployed), { 0: null, 3: '2' }, 'a worker that has neither');
});

void test('with weights each version serves its own share; a weight of 0 serves those who name it', () => {
  const canary = route({ 1: 90, 2: 10 });
  assert.deepEqual(served({ 1: 'ready', 2: 'ready' }, canary), { 1: '1', 2: '2' });
  assert.deepEqual(served({ 1: 'ready', 2: 'loading' }, canary), { 1: '1', 2: null });
  assert.deepEqual(served({ 1: 'ready', 2: 'ready' }, route({ 1: 100, 2: 0 })), { 1: '1', 2: null });
  assert.equal(mainVersion(canary), '1');
});
