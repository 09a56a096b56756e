/** The contract of a book of files: every driver's test calls this with a way to make one over nothing. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createManualClock, type ManualClock } from '../../../test/support/manual-clock.ts';
import { ARRIVAL_MS, type ArrivingFile, type FileBook, type FileLimits } from '../files.ts';
import { HOUR_MS, START } from './bench.suite.ts';

/** A started book over nothing, and how to end it. */
export type CreateSuiteFiles = (clock: ManualClock) => Promise<{ book: FileBook; stop: () => Promise<void> }>;

const LIMITS: FileLimits = { maxBytes: 10_000, maxCallerBytes: 5_000, maxCallerFiles: 10 };
const ROSE = 'a'.repeat(64);
const TULIP = 'b'.repeat(64);

const file = (id: string, over: Partial<ArrivingFile> = {}): ArrivingFile => ({
  id,
  caller: 'anna',
  name: 'rose.jpg',
  contentType: 'image/jpeg',
  bytes: 1_000,
  sha256: ROSE,
  md5: 'm'.repeat(32),
  metadata: '{"from":"a test"}',
  ...over,
});

export function filesSuite(name: string, create: CreateSuiteFiles): void {
  const check = (title: string, body: (book: FileBook, clock: ManualClock) => Promise<void>): void => {
    void test(title, async () => {
      const clock = createManualClock(START);
      const { book, stop } = await create(clock);
      try {
        await body(book, clock);
      } finally {
        await stop();
      }
    });
  };
  async function add(book: FileBook, id: string, over: Partial<ArrivingFile> = {}) {
    await book.arrive(file(id, over), LIMITS);
    return book.keep(id, HOUR_MS);
  }
  const idsOf = async (book: FileBook, caller?: string, after: string | null = null): Promise<string[]> =>
    (await book.list({ caller, limit: 10, after })).map(({ id }) => id);

  void describe(`${name}: files`, () => {
    check(
      'what arrives is no file yet, but names its blob; kept it is one, with what was said of it',
      async (book, clock) => {
        await book.arrive(file('1'), LIMITS);
        assert.equal(await book.get('1'), null);
        assert.deepEqual(await idsOf(book), []);
        assert.equal(await book.isNamed(ROSE), true);
        clock.advance(500);
        const kept = await book.keep('1', HOUR_MS);
        assert.deepEqual(kept, { ...file('1'), createdAt: START + 500, expiresAt: START + 500 + HOUR_MS });
        assert.deepEqual(await book.get('1'), kept);
        assert.deepEqual(await book.list({ caller: 'anna', limit: 10, after: null }), [kept]);
      },
    );

    check('a name comes back as it was, whatever is in it', async (book) => {
      const name = 'ro"se\\ \n 진달래 🌹 \u0001.jpg';
      assert.equal((await add(book, '1', { name }))?.name, name);
      assert.equal((await book.get('1'))?.name, name);
    });

    check('bounds of a caller and of all are exact, and what arrives counts', async (book) => {
      for (const id of ['1', '2', '3']) await add(book, id);
      await book.arrive(file('4', { bytes: 1_500 }), LIMITS);
      await assert.rejects(book.arrive(file('5', { bytes: 501 }), LIMITS), { code: 'file_quota_exceeded' });
      await book.arrive(file('5', { bytes: 500 }), LIMITS);
      await assert.rejects(book.arrive(file('6', { bytes: 1 }), LIMITS), { code: 'file_quota_exceeded' });
      await add(book, '7', { caller: 'ben', bytes: 3_000 });
      await assert.rejects(book.arrive(file('8', { caller: 'cem', bytes: 2_001 }), LIMITS), { code: 'storage_full' });
      await book.arrive(file('8', { caller: 'cem', bytes: 2_000 }), LIMITS);
      assert.equal(await book.remove('1'), true);
      assert.equal(await book.remove('4'), true, 'one that arrives can be given up');
      await add(book, '9', { bytes: 2_000 });
    });

    check('a caller has at most so many files', async (book) => {
      for (let n = 0; n < LIMITS.maxCallerFiles; n += 1) await add(book, String(n), { bytes: 1 });
      await assert.rejects(add(book, 'x', { bytes: 1 }), { code: 'file_quota_exceeded' });
      await add(book, 'y', { bytes: 1, caller: 'ben' });
      await book.remove('3');
      await add(book, 'x', { bytes: 1 });
    });

    check('many that arrive at once get no more room than there is', async (book) => {
      const tries = await Promise.allSettled(
        Array.from({ length: 20 }, (_, n) => book.arrive(file(`f${n}`, { bytes: 700 }), LIMITS)),
      );
      assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 7);
    });

    check('time ends files, and what never came', async (book, clock) => {
      await add(book, '1');
      await book.arrive(file('2', { sha256: TULIP }), LIMITS);
      clock.advance(ARRIVAL_MS - 1);
      assert.notEqual(await book.get('1'), null);
      assert.equal(await book.expire(10), 0);
      clock.advance(1);
      assert.equal(await book.get('1'), null);
      assert.deepEqual(await idsOf(book), []);
      assert.equal(await book.keep('2', HOUR_MS), null);
      assert.equal(await book.expire(1), 1);
      assert.equal(await book.expire(10), 1);
      assert.deepEqual(await book.unnamed('', 10), [ROSE, TULIP]);
      await add(book, '3', { bytes: LIMITS.maxCallerBytes });
    });

    check('a list is the newest first, of one caller or of all, and goes on where it ended', async (book) => {
      for (const id of ['1', '2', '3', '4']) await add(book, id, { caller: id === '2' ? 'ben' : 'anna' });
      assert.deepEqual(await idsOf(book), ['4', '3', '2', '1']);
      assert.deepEqual(await idsOf(book, 'anna'), ['4', '3', '1']);
      assert.deepEqual(await idsOf(book, 'anna', '3'), ['1']);
      assert.deepEqual(
        (await book.list({ caller: undefined, limit: 2, after: '4' })).map(({ id }) => id),
        ['3', '2'],
      );
    });

    check('a blob is named as long as one file names it, and noted when one no longer does', async (book) => {
      await add(book, '1');
      await add(book, '2');
      assert.deepEqual(await book.unnamed('', 10), []);
      assert.equal(await book.remove('1'), true);
      assert.equal(await book.remove('1'), false);
      assert.deepEqual(await book.unnamed('', 10), [ROSE]);
      assert.equal(await book.isNamed(ROSE), true);
      await book.remove('2');
      assert.equal(await book.isNamed(ROSE), false);
      await add(book, '3', { sha256: TULIP });
      await book.remove('3');
      assert.deepEqual(await book.unnamed('', 10), [ROSE, TULIP]);
      assert.deepEqual(await book.unnamed(ROSE, 10), [TULIP]);
      await book.dropUnnamed([ROSE]);
      assert.deepEqual(await book.unnamed('', 10), [TULIP]);
    });
  });
}
