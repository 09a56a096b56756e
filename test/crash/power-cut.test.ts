/** The short form of `npm run torture:power`. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { needsProgram } from '../support/needs.ts';
import { createRandom } from '../support/random.ts';
import { powerCuts, type PowerCutResult } from './power-cut.ts';

const skip = needsProgram('strace');

async function cutsWith(lies?: (name: string) => boolean): Promise<PowerCutResult> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-power-'));
  try {
    const random = createRandom(Date.now());
    return await powerCuts({ folder, cuts: 10, jobs: 80, random, ...(lies && { lies }) });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

void test('what was acknowledged is there after a power cut, whatever was not flushed', { skip }, async (t) => {
  const { problems, cuts, flushes } = await cutsWith();
  t.diagnostic(`${cuts} cuts, ${flushes} flushes`);
  assert.deepEqual(problems, []);
  assert.ok(cuts > 3 && flushes > 20);
});

/** Ten moments may all fall where nothing was lost by chance: then ten more of another load. */
async function isNoticed(lies: (name: string) => boolean): Promise<boolean> {
  for (let tries = 0; tries < 5; tries += 1) {
    const { problems } = await cutsWith(lies);
    if (problems.length > 0) return true;
  }
  return false;
}

void test('a disk whose flushes of the log do nothing is noticed', { skip }, async () => {
  assert.ok(await isNoticed((name) => name.endsWith('-wal')));
});

void test('a disk whose flushes of payloads do nothing is noticed', { skip }, async () => {
  assert.ok(await isNoticed((name) => name.includes('/blobs/')));
});
