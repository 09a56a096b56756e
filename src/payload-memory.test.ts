import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { createPayloadMemory } from './payload-memory.ts';

const MIB = 1024 * 1024;

test('payloads count like other memory below the limit, and as V8 counts them above it', () => {
  const told: boolean[] = [];
  let usedBytes = 0;
  const memory = createPayloadMemory({
    limitBytes: 100 * MIB,
    usedBytes: () => usedBytes,
    relax: (relaxed) => told.push(relaxed),
  });
  usedBytes = 101 * MIB;
  for (let at = 0; at < 15; at++) memory.grew(MIB);
  assert.deepEqual(told, [true], 'not looked at for every payload');
  memory.grew(MIB);
  usedBytes = 99 * MIB;
  memory.grew(16 * MIB);
  assert.deepEqual(told, [true, false, true]);
});

/** In a process of its own: how often V8 collected everything while payloads came and went, and the most that lay there. */
function pass(payloadBytes: number, count: number, isCounted: boolean): { full: number; mostBytes: number } {
  const program = `
    import { PerformanceObserver, constants } from 'node:perf_hooks';
    import { createPayloadMemory } from ${JSON.stringify(new URL('payload-memory.ts', import.meta.url).href)};
    let full = 0;
    const observer = new PerformanceObserver((list) => {
      for (const { detail } of list.getEntries()) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) full += 1;
    });
    observer.observe({ entryTypes: ['gc'] });
    const memory = ${isCounted} ? createPayloadMemory() : { grew() {} };
    // A heap like a worker's: V8 allows more beside a larger one.
    const heap = Array.from({ length: 150_000 }, (_, at) => ({ at, text: 'x' + at }));
    const held = [];
    let mostBytes = 0;
    for (let at = 0; at < ${count}; at++) {
      held[at % 8] = new Uint8Array(${payloadBytes});
      memory.grew(${payloadBytes});
      if (at % 8 !== 0) continue;
      mostBytes = Math.max(mostBytes, process.memoryUsage().arrayBuffers);
      await new Promise(setImmediate);
    }
    // Entries are told in a later turn.
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
    for (const entry of observer.takeRecords()) if (entry.detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) full += 1;
    console.log(JSON.stringify({ full, mostBytes, heap: heap.length }));`;
  const args = ['--input-type=module', '--eval', program];
  return JSON.parse(execFileSync(process.execPath, args).toString()) as { full: number; mostBytes: number };
}

test('small payloads are left to scavenges', () => {
  // When V8 collects is its own affair: seen were 14 or 15 full collections by its rule, and 2 to 8 by this one.
  const alone = pass(49_152, 20_000, false);
  const { full, mostBytes } = pass(49_152, 20_000, true);
  assert(full < alone.full, `${full} full collections, and V8 alone made ${alone.full}`);
  assert(mostBytes < 400 * MIB, `${mostBytes} bytes`);
});

/**
 * V8 collects beside the program, and a loop that does nothing but allocate may be quicker: 25 runs of it left 258 to 1,707 MiB by V8's own
 * rule (median 563) and 267 to 1,726 by this one (median 420). So a single run says nothing.
 */
test('large payloads pile up no more than V8 lets them by itself', () => {
  const median = (isCounted: boolean): number =>
    Array.from({ length: 7 }, () => pass(10_000_000, 200, isCounted).mostBytes).sort((a, b) => a - b)[3]!;
  const [alone, counted] = [median(false), median(true)];
  assert(counted < 2 * alone, `of 2 GB that came and went, ${counted} bytes lay there, and ${alone} where V8 is alone`);
});
