import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { createDirectoryBlobs } from '../blobs/directory.ts';
import { createCollector } from './collect.ts';

const GRACE_MS = 60_000;

async function scene(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-collect-'));
  const clock = createManualClock();
  const disk = createDirectoryBlobs({ folder, clock });
  await disk.start();
  t.after(async () => {
    await disk.stop();
    rmSync(folder, { recursive: true });
  });
  const named = new Set<string>();
  const unnamed = new Set<string>();
  let walks = 0;
  const collector = createCollector({
    blobs: {
      put: (content) => disk.put(content),
      get: (key) => disk.get(key),
      has: (key) => disk.has(key),
      removeUnused: (key, options) => disk.removeUnused(key, options),
      list(after, limit) {
        walks += 1;
        return disk.list(after, limit);
      },
    },
    clock,
    graceMs: GRACE_MS,
    names: {
      unnamed: (after, limit) =>
        Promise.resolve(
          [...unnamed]
            .sort()
            .filter((key) => key > after)
            .slice(0, limit),
        ),
      isNamed: (key) => Promise.resolve(named.has(key)),
      dropUnnamed: (keys) => Promise.resolve(keys.forEach((key) => unnamed.delete(key))),
    },
  });
  return { clock, disk, named, unnamed, collector, walks: () => walks };
}

void test('a key whose blob is gone, and one that has a name again, leave the list; one that is young stays on it', async (t) => {
  const { disk, named, unnamed, collector } = await scene(t);
  const [again, young] = [await disk.put(Buffer.from('again')), await disk.put(Buffer.from('young'))];
  named.add(again);
  for (const key of [again, young, 'a'.repeat(64)]) unnamed.add(key);
  await collector.run();
  assert.deepEqual([...unnamed], [young]);
  assert.ok(await disk.has(again));
});

void test('a walk that is through rests for the grace time, and then finds what no row named', async (t) => {
  const { clock, disk, named, collector, walks } = await scene(t);
  const [used, lost] = [await disk.put(Buffer.from('used')), await disk.put(Buffer.from('lost'))];
  named.add(used);
  await collector.run();
  await collector.run();
  assert.equal(walks(), 1);
  assert.ok(await disk.has(lost), 'it is young');
  clock.advance(2 * GRACE_MS);
  await collector.run();
  assert.equal(walks(), 2);
  assert.deepEqual([await disk.has(used), await disk.has(lost)], [true, false]);
});
