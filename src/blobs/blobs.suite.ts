/** The contract of the BlobStore port: every driver's test calls this with a way to make a started store over nothing. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { createManualClock, type ManualClock } from '../../test/support/manual-clock.ts';
import type { BlobStore } from './blobs.ts';

export type CreateSuiteBlobs = (clock: ManualClock) => Promise<BlobStore>;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const nobody = (): Promise<boolean> => Promise.resolve(false);
const somebody = (): Promise<boolean> => Promise.resolve(true);
const MINUTE_MS = 60_000;

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) {
    await Promise.resolve();
    yield bytes.subarray(at, at + size);
  }
}

export function blobsSuite(name: string, create: CreateSuiteBlobs): void {
  const check = (title: string, body: (blobs: BlobStore, clock: ManualClock) => Promise<void>): void => {
    void test(title, async () => {
      const clock = createManualClock();
      const blobs = await create(clock);
      try {
        await body(blobs, clock);
      } finally {
        await blobs.stop();
      }
    });
  };

  void describe(`${name}: blobs`, () => {
    for (const size of [0, 1, 65_537, 3 * 1024 * 1024 + 1]) {
      check(`${size} bytes come back as they were put, under the name of their content`, async (blobs) => {
        const bytes = randomBytes(size);
        const key = await blobs.put(bytes);
        assert.equal(key, sha256(bytes));
        assert.ok(bytes.equals((await blobs.get(key)) ?? Buffer.from('none')), `${size} bytes`);
        assert.equal(await blobs.has(key), true);
      });
    }

    check('a stream gets the same name as the same bytes at once', async (blobs) => {
      const bytes = randomBytes(300_000);
      const key = await blobs.put(pieces(bytes, 7_777));
      assert.equal(key, await blobs.put(bytes));
      const read: Uint8Array[] = [];
      for await (const part of (await blobs.stream(key)) ?? []) read.push(part);
      assert.ok(Buffer.concat(read).equals(bytes));
    });

    check('a stream that fails leaves nothing behind', async (blobs) => {
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield Buffer.from('half of it');
        await Promise.resolve();
        throw new Error('the caller went away');
      }
      await assert.rejects(blobs.put(broken()), { code: 'storage_failed' });
      assert.deepEqual(await blobs.list(null, 10), []);
      assert.equal(await blobs.has(sha256(Buffer.from('half of it'))), false);
    });

    check('what was never put is not there', async (blobs) => {
      const key = sha256(Buffer.from('never'));
      assert.equal(await blobs.get(key), null);
      assert.equal(await blobs.stream(key), null);
      assert.equal(await blobs.has(key), false);
      assert.equal(await blobs.delete(key), false);
      assert.equal(await blobs.removeUnused(key, { putBefore: Infinity, isUsed: nobody }), false);
    });

    check('nothing but a key is taken for a key', async (blobs) => {
      const traversals = ['', '..', '../../etc/passwd', `${'a'.repeat(63)}/`, 'A'.repeat(64), `${'a'.repeat(64)}\0`];
      for (const key of traversals) {
        const refused = { code: 'bad_parameter' } as const;
        await assert.rejects(async () => blobs.get(key), refused);
        await assert.rejects(async () => blobs.has(key), refused);
        await assert.rejects(async () => blobs.stream(key), refused);
        await assert.rejects(async () => blobs.delete(key), refused);
        await assert.rejects(async () => blobs.removeUnused(key, { putBefore: 0, isUsed: nobody }), refused);
        if (key !== '') await assert.rejects(async () => blobs.list(key, 1), refused);
      }
    });

    check('a list is in the order of keys, in pages, with sizes and times', async (blobs, clock) => {
      const keys: string[] = [];
      for (let i = 0; i < 20; i += 1) keys.push(await blobs.put(Buffer.alloc(i, 'x')));
      keys.sort();
      const seen: string[] = [];
      for (let page = await blobs.list(null, 7); page.length > 0; page = await blobs.list(page.at(-1)!.key, 7)) {
        assert.ok(page.length <= 7);
        for (const { key, putAt } of page) {
          seen.push(key);
          assert.ok(Math.abs(putAt - clock.now()) < 1_000);
        }
      }
      assert.deepEqual(seen, keys);
    });

    check('delete removes, once', async (blobs) => {
      const key = await blobs.put(Buffer.from('x'));
      assert.equal(await blobs.delete(key), true);
      assert.equal(await blobs.get(key), null);
      assert.equal(await blobs.delete(key), false);
    });

    check('a blob goes when it is old and nobody uses it, and only then', async (blobs, clock) => {
      const key = await blobs.put(Buffer.from('photo'));
      const putBefore = (): number => clock.now() - 10 * MINUTE_MS;
      assert.equal(await blobs.removeUnused(key, { putBefore: putBefore(), isUsed: nobody }), false, 'young');
      clock.advance(11 * MINUTE_MS);
      assert.equal(await blobs.removeUnused(key, { putBefore: putBefore(), isUsed: somebody }), false, 'used');
      assert.ok(await blobs.get(key));
      // Somebody sends the same photo again: its row is not committed yet.
      await blobs.put(Buffer.from('photo'));
      assert.equal(await blobs.removeUnused(key, { putBefore: putBefore(), isUsed: nobody }), false, 'put again');
      clock.advance(11 * MINUTE_MS);
      assert.equal(await blobs.removeUnused(key, { putBefore: putBefore(), isUsed: nobody }), true);
      assert.equal(await blobs.get(key), null);
    });

    check(
      'a removal takes nothing that was put since it looked, also when a second removal of the same blob runs',
      async (blobs, clock) => {
        const bytes = Buffer.from('the same photo');
        const key = await blobs.put(bytes);
        clock.advance(1);
        const putBefore = Infinity;
        let isSecondIn: () => void;
        const secondIsIn = new Promise<void>((resolve) => (isSecondIn = resolve));
        let second: Promise<boolean> = Promise.resolve(false);
        const first: Promise<boolean> = blobs.removeUnused(key, {
          putBefore,
          async isUsed() {
            await blobs.put(bytes);
            second = blobs.removeUnused(key, {
              putBefore,
              async isUsed() {
                isSecondIn();
                await first;
                assert.ok(await blobs.get(key), 'readable in the meantime');
                return true;
              },
            });
            await secondIsIn;
            return false;
          },
        });
        assert.equal(await first, true);
        assert.equal(await second, false);
        assert.ok(bytes.equals((await blobs.get(key)) ?? Buffer.alloc(0)));
      },
    );

    check('a put while the same blob is being removed always wins', async (blobs, clock) => {
      const bytes = Buffer.from('the same photo');
      const key = await blobs.put(bytes);
      for (let i = 0; i < 25; i += 1) {
        clock.advance(11 * MINUTE_MS);
        const putBefore = clock.now() - 10 * MINUTE_MS;
        const removal = blobs.removeUnused(key, { putBefore, isUsed: nobody });
        // Somewhere inside the removal, at another place each time.
        for (let turn = 0; turn < i % 8; turn += 1) await new Promise((resolve) => setImmediate(resolve));
        assert.equal(await blobs.put(bytes), key);
        assert.ok(await blobs.get(key), `readable after put, round ${i}`);
        await removal;
        assert.deepEqual(Buffer.from((await blobs.get(key)) ?? []), bytes, `there after both, round ${i}`);
      }
    });
  });
}
