/** The rules of loading, tried with every order of successes, failures and new wishes that a seed can think of. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nextStep } from './plan.ts';
import type { LoadedState, Situation, Step, Wish } from './plan.ts';

interface World {
  stored: Map<string, number>;
  loaded: Map<string, { state: LoadedState; needMb: number }>;
  failed: Set<string>;
  wish: Wish | null;
  readonly totalMb: number;
}

function situation({ stored, loaded, failed, wish, totalMb }: World): Situation {
  const sum = (of: Iterable<{ readonly needMb: number }>): number => [...of].reduce((mb, { needMb }) => mb + needMb, 0);
  return {
    stored: [...stored].map(([version, needMb]) => ({ version, needMb })).reverse(),
    loaded,
    failed,
    wish,
    totalMb,
    freeMb: totalMb - sum(loaded.values()),
    leavingMb: sum([...loaded.values()].filter(({ state }) => state === 'draining')),
  };
}

/** Takes every step that is due; what it starts ends later. */
function step(world: World): Step[] {
  const steps: Step[] = [];
  for (let next = nextStep(situation(world)); next !== null; next = nextStep(situation(world))) {
    steps.push(next);
    assert(steps.length < 50, 'it never comes to an end');
    const needMb = world.stored.get(next.version) ?? 0;
    if (next.type === 'load') {
      assert(!world.loaded.has(next.version) && !world.failed.has(next.version));
      world.loaded.set(next.version, { state: 'loading', needMb });
    } else if (next.type === 'unload') world.loaded.get(next.version)!.state = 'draining';
    else world.failed.add(next.version);
    const usedMb = [...world.loaded.values()].reduce((mb, one) => mb + one.needMb, 0);
    assert(usedMb <= world.totalMb, `${usedMb} of ${world.totalMb} MB`);
  }
  return steps;
}

function world(stored: Record<string, number>, totalMb = 1_000): World {
  return { stored: new Map(Object.entries(stored)), loaded: new Map(), failed: new Set(), wish: null, totalMb };
}

function wishOf(versions: readonly string[], standby: readonly string[] = [], allowDowntime = false): Wish {
  return { revision: 1, versions, standby, allowDowntime };
}

const said = (steps: readonly Step[]): string[] => steps.map(({ type, version }) => `${type} ${version}`);
const ready = (of: World, version: string): void => void (of.loaded.get(version)!.state = 'ready');

function fail(of: World, version: string): void {
  of.loaded.delete(version);
  of.failed.add(version);
}

void test('without a wish the newest that can be loaded serves, and nothing else is', () => {
  const it = world({ 1: 0, 2: 0 });
  assert.deepEqual(said(step(it)), ['load 2']);
  fail(it, '2');
  assert.deepEqual(said(step(it)), ['load 1']);
  ready(it, '1');
  assert.deepEqual(said(step(it)), []);
});

void test('a new version is loaded beside the old one, which stays on standby and goes when it is on no list', () => {
  const it = world({ 1: 100, 2: 100 });
  it.wish = wishOf(['1']);
  assert.deepEqual(said(step(it)), ['load 1']);
  ready(it, '1');
  it.wish = wishOf(['2'], ['1']);
  assert.deepEqual(said(step(it)), ['load 2']);
  it.wish = wishOf(['2']);
  assert.deepEqual(said(step(it)), [], 'not before the new one is ready');
  ready(it, '2');
  assert.deepEqual(said(step(it)), ['unload 1']);
});

void test('what cannot be loaded changes nothing, and is tried again only when it is told anew', () => {
  const it = world({ 1: 0, 2: 0 });
  it.wish = wishOf(['2'], ['1']);
  it.loaded.set('1', { state: 'ready', needMb: 0 });
  assert.deepEqual(said(step(it)), ['load 2']);
  fail(it, '2');
  assert.deepEqual(said(step(it)), []);
  assert.equal(it.loaded.get('1')?.state, 'ready');
});

void test('what does not fit beside the old one is refused, unless callers may wait', () => {
  const it = world({ 1: 600, 2: 600 });
  it.loaded.set('1', { state: 'ready', needMb: 600 });
  it.wish = wishOf(['2'], ['1']);
  const [refused] = step(it);
  assert.ok(refused?.type === 'refuse');
  assert.match(refused.reason, /600 MB are needed, 400 of 1000 MB are left beside what serves now: .*--allow-downtime/);
  it.failed.clear();
  it.wish = wishOf(['2'], ['1'], true);
  assert.deepEqual(said(step(it)), ['unload 1']);
  it.loaded.delete('1');
  assert.deepEqual(said(step(it)), ['load 2']);
  fail(it, '2');
  assert.deepEqual(said(step(it)), ['load 1'], 'the old one comes back');
});

void test('what nobody wants makes room before anything is refused', () => {
  const it = world({ 1: 400, 2: 400, 3: 400 });
  it.loaded.set('1', { state: 'ready', needMb: 400 });
  it.loaded.set('2', { state: 'ready', needMb: 400 });
  it.wish = wishOf(['3'], ['2']);
  assert.deepEqual(said(step(it)), ['unload 1']);
  it.loaded.delete('1');
  assert.deepEqual(said(step(it)), ['load 3']);
});

const name = fc.constantFrom('1', '2', '3', '4');
const wish = fc.option(
  fc.record({
    revision: fc.integer({ min: 1, max: 3 }),
    versions: fc.uniqueArray(name, { minLength: 1, maxLength: 2 }),
    standby: fc.uniqueArray(name, { maxLength: 2 }),
    allowDowntime: fc.boolean(),
  }),
  { freq: 8 },
);
const event = fc.oneof(
  fc.record({ type: fc.constant('wish' as const), wish }),
  fc.record({
    type: fc.constantFrom('ready' as const, 'failed' as const, 'gone' as const, 'death' as const),
    version: name,
  }),
  fc.record({ type: fc.constant('removed' as const), version: name }),
);

void test('whatever happens, memory is never overdrawn, the last one that serves never goes unasked, and something serves in the end', () => {
  fc.assert(
    fc.property(
      fc.dictionary(name, fc.constantFrom(0, 300, 600), { minKeys: 1 }),
      fc.array(event, { maxLength: 30 }),
      (stored, events) => {
        const it = world(stored);
        const serving = (): string[] => [...it.loaded].flatMap(([v, { state }]) => (state === 'ready' ? [v] : []));
        for (const one of events) {
          const before = serving();
          if (one.type === 'wish') {
            it.wish = one.wish;
            it.failed.clear();
          } else if (one.type === 'removed') it.stored.delete(one.version);
          else if (one.type === 'death') {
            // The process is killed and starts again: nothing is loaded, the wish is remembered.
            it.loaded.clear();
            it.failed.clear();
          } else {
            const state = it.loaded.get(one.version)?.state;
            if (one.type === 'ready' && state === 'loading') ready(it, one.version);
            if (one.type === 'failed' && state === 'loading') fail(it, one.version);
            if (one.type === 'gone' && state === 'draining') it.loaded.delete(one.version);
          }
          const steps = step(it);
          const unloads = steps.some(({ type }) => type === 'unload');
          if (unloads && before.length > 0 && it.wish?.allowDowntime !== true) {
            assert(serving().length > 0, 'the last one that served was unloaded without leave');
          }
        }
        // Everything that loads gets ready and everything that drains goes: then something serves, if anything can.
        for (let turns = 0; turns < 20; turns += 1) {
          for (const [version, { state }] of [...it.loaded]) {
            if (state === 'loading') ready(it, version);
            if (state === 'draining') it.loaded.delete(version);
          }
          step(it);
        }
        const able = [...it.stored].some(([version]) => !it.failed.has(version));
        assert(serving().length > 0 || !able, JSON.stringify([...it.loaded]));
        const wanted = it.wish?.versions.filter((version) => it.stored.has(version) && !it.failed.has(version)) ?? [];
        for (const version of wanted) assert(it.loaded.has(version), `${version} is wanted and not loaded`);
      },
    ),
    { numRuns: 500 },
  );
});
