import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LEASE_MS } from '../../dispatch/job.ts';
import { DEAD_MS, PING_MS } from '../../protocol/limits.ts';
import { planKeep, type KeptLink } from './keeping.ts';

const NOW = 100_000;
const link = (session: string, silentMs: number, { worksOn = true, mayKeep = true } = {}): KeptLink => ({
  session,
  worksOn,
  mayKeep,
  held: () => null,
  heardAt: () => NOW - silentMs,
});

function plan(...links: KeptLink[]) {
  const { away, keepers } = planKeep(links, NOW);
  return [away, keepers].map((of) => of.map(({ session }) => session));
}

void test('a gateway that is lost is away at once, and one that is silent long before it counts as lost', () => {
  assert.deepEqual(plan(link('lost', Infinity), link('heard', 10)), [['lost'], ['heard']]);
  assert.deepEqual(plan(link('silent', DEAD_MS / 2), link('heard', 10)), [['silent'], ['heard']]);
  assert.deepEqual(plan(link('pinged', PING_MS), link('heard', 10))[0], []);
});

void test('where nothing runs nothing is kept', () => {
  assert.deepEqual(plan(link('lost', Infinity, { worksOn: false }), link('heard', 10)), [[], ['heard']]);
});

void test('those that were heard last are asked, and none that is silent or cannot', () => {
  const links = [link('a', 4_900), link('b', 7_000), link('c', 20), link('d', 1_000), link('e', Infinity)];
  assert.deepEqual(plan(...links)[1], ['c', 'd']);
  assert.deepEqual(plan(link('new', 20), link('old', 10, { mayKeep: false }), link('silent', 7_000))[1], ['new']);
});

void test('it is early enough for a lease that was told of one ping and one sweep before its gateway died', () => {
  const [sweepMs, keepMs] = [1_000, 3_000];
  const leftMs = DEFAULT_LEASE_MS - PING_MS - sweepMs;
  assert.deepEqual(plan(link('dead', leftMs - keepMs))[0], ['dead']);
});
