/** Several processes on one book and one place of blobs, at every point at which they could get into each other's way. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { createManualClock, type ManualClock } from '../../../test/support/manual-clock.ts';
import { cannotRunPostgres } from '../../../test/support/postgres.ts';
import { emptyPostgresStore } from '../../../test/support/postgres-store.ts';
import { needsS3, startS3Server, type S3Server } from '../../../test/support/s3-server.ts';
import type { BlobStore } from '../../blobs/blobs.ts';
import { createDirectoryBlobs } from '../../blobs/directory.ts';
import { createS3Blobs } from '../../blobs/s3.ts';
import { PosternError } from '../../errors.ts';
import { silentLogger } from '../../logger.ts';
import { ARRIVAL_MS, type FileBook } from '../../store/files.ts';
import { createSqliteFiles } from '../../store/sqlite/files.ts';
import { createFiles, type Files } from './files.ts';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const ROSE = Buffer.from('a rose');
const about = (id: string) => ({ id, caller: 'anna', name: 'a', contentType: 'text/plain', metadata: '{}' });
const missing = async (files: Files, id: string): Promise<boolean> => (await files.get(id)) === null;

interface Scene {
  readonly clock: ManualClock;
  /** Another process on the same book and place. */
  open(around?: (blobs: BlobStore) => Partial<BlobStore>, youngMs?: number): Promise<{ files: Files; book: FileBook }>;
  readonly blobs: BlobStore;
}

/** What a place needs of its kind: how one more process opens it. */
type OpenPlace = (t: TestContext, clock: ManualClock) => Promise<{ book: () => FileBook; blobs: () => BlobStore }>;

async function sceneOf(t: TestContext, openPlace: OpenPlace): Promise<Scene> {
  const clock = createManualClock();
  const place = await openPlace(t, clock);
  const watcher = place.blobs();
  await watcher.start();
  t.after(() => watcher.stop());
  return {
    clock,
    blobs: watcher,
    async open(around = () => ({}), youngMs = 0) {
      const book = place.book();
      const own = place.blobs();
      const blobs = { ...own, ...around(own) };
      const limits = { ttlMs: 2 * HOUR_MS, maxBytes: 1e6, maxCallerBytes: 1e6, youngMs };
      const files = createFiles({ book, blobs, clock, logger: silentLogger, ...limits });
      await files.start();
      t.after(() => files.stop());
      return { files, book };
    },
  };
}

/** Resolves when no blob is left: sweeps run behind the clock's back. */
async function untilEmpty({ blobs }: Scene): Promise<void> {
  while ((await blobs.list(null, 1)).length > 0) await new Promise(setImmediate);
}

function races(name: string, skip: string | false, openPlace: OpenPlace): void {
  void describe(name, { skip }, () => {
    const check = (title: string, body: (scene: Scene) => Promise<void>): void =>
      void test(title, async (t) => body(await sceneOf(t, openPlace)));

    check('one process finds, reads, lists and removes what another one took', async (scene) => {
      const [one, other] = [await scene.open(), await scene.open()];
      const file = await one.files.add({ ...about('1'), content: ROSE });
      assert.deepEqual(await other.files.get('1'), file);
      assert.ok(ROSE.equals((await other.files.read(file))!));
      assert.deepEqual((await other.files.list({ caller: 'anna', limit: 5, after: null })).files, [file]);
      await other.files.remove(file);
      assert.ok(await missing(one.files, '1'));
      assert.deepEqual(await scene.blobs.list(null, 1), []);
    });

    for (const when of ['before', 'after'] as const) {
      check(`the same content is removed elsewhere just ${when} it is put again, and is there`, async (scene) => {
        const other = await scene.open();
        const first = await other.files.add({ ...about('1'), content: ROSE });
        const one = await scene.open((own) => ({
          async put(content) {
            if (when === 'before') await other.files.remove(first);
            const key = await own.put(content);
            if (when === 'after') await other.files.remove(first);
            return key;
          },
        }));
        const second = await one.files.add({ ...about('2'), content: ROSE });
        assert.ok(await missing(one.files, '1'));
        assert.ok(ROSE.equals((await other.files.read(second))!));
        await one.files.remove(second);
        assert.deepEqual(await scene.blobs.list(null, 1), []);
      });
    }

    check('content that is put again between the look and the removal of it stays', async (scene) => {
      const one = await scene.open();
      const first = await one.files.add({ ...about('1'), content: ROSE });
      const other = await scene.open((own) => ({
        removeUnused: (key, options) =>
          own.removeUnused(key, {
            ...options,
            async isUsed(asked) {
              const isUsed = await options.isUsed(asked);
              // Nobody names it, and it is about to go; its next file comes first.
              await one.files.add({ ...about('2'), content: ROSE });
              return isUsed;
            },
          }),
      }));
      await other.files.remove(first);
      const second = (await other.files.get('2'))!;
      assert.ok(ROSE.equals((await one.files.read(second))!));
    });

    check('a file outlives the other one with its content', async (scene) => {
      const [one, other] = [await scene.open(), await scene.open()];
      const first = await one.files.add({ ...about('1'), content: ROSE });
      const second = await other.files.add({ ...about('2'), content: ROSE });
      await one.files.remove(first);
      assert.ok(ROSE.equals((await one.files.read(second))!));
      await other.files.remove(second);
      assert.deepEqual(await scene.blobs.list(null, 1), []);
    });

    check(
      'what a process that died left between the removal and its blob goes with the next sweep of any',
      async (scene) => {
        const { files, book } = await scene.open();
        const { id } = await files.add({ ...about('1'), content: ROSE });
        await book.remove(id);
        assert.equal((await scene.blobs.list(null, 1)).length, 1);
        scene.clock.advance(MINUTE_MS);
        await untilEmpty(scene);
      },
    );

    check('an upload whose bytes cannot be kept leaves no file and holds no room', async (scene) => {
      const full = await scene.open(() => ({
        put: () => Promise.reject(new PosternError('storage_full', 'the disk is full')),
      }));
      await assert.rejects(full.files.add({ ...about('1'), content: ROSE }), { code: 'storage_full' });
      assert.equal(await full.book.keep('1', HOUR_MS), null);
      assert.ok(await missing(full.files, '1'));
    });

    check('an upload that was cut off ends, blob and all, and its late end is refused', async (scene) => {
      const other = await scene.open();
      const slow = await scene.open((own) => ({
        async put(content) {
          const key = await own.put(content);
          scene.clock.advance(ARRIVAL_MS + MINUTE_MS);
          await untilEmpty(scene);
          return key;
        },
      }));
      await assert.rejects(slow.files.add({ ...about('1'), content: ROSE }), { code: 'storage_failed' });
      assert.ok(await missing(other.files, '1'));
    });

    check('where what is young stays, it goes with a sweep when it is old enough', async (scene) => {
      const { files } = await scene.open(undefined, MINUTE_MS);
      const file = await files.add({ ...about('1'), content: ROSE });
      await files.remove(file);
      assert.ok(await missing(files, '1'));
      assert.equal((await scene.blobs.list(null, 1)).length, 1);
      scene.clock.advance(MINUTE_MS);
      await untilEmpty(scene);
    });

    check('two that upload and remove the same content over and over never lose each other’s', async (scene) => {
      const ROUNDS = 12;
      const [one, other] = [await scene.open(), await scene.open()];
      let count = 0;
      const over = async ({ files }: { files: Files }): Promise<void> => {
        for (let round = 0; round < ROUNDS; round += 1) {
          scene.clock.advance(1);
          const file = await files.add({ ...about(String((count += 1)).padStart(4, '0')), content: ROSE });
          assert.ok(ROSE.equals((await files.read(file)) ?? Buffer.alloc(0)), `round ${round}`);
          await files.remove(file);
        }
      };
      await Promise.all([over(one), over(other), over(one)]);
      scene.clock.advance(MINUTE_MS);
      await untilEmpty(scene);
    });
  });
}

races('uploaded files on a disk, two processes', false, async (t, clock) => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-files-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return Promise.resolve({
    book: () => createSqliteFiles({ path: join(folder, 'files.sqlite'), clock }),
    blobs: () => createDirectoryBlobs({ folder: join(folder, 'files'), clock }),
  });
});

void describe('with a database and a bucket', { skip: cannotRunPostgres() || needsS3() }, () => {
  let server: S3Server;
  before(async () => {
    server = await startS3Server();
  });
  after(() => server.stop());

  races('uploaded files in PostgreSQL and S3, two gateways', false, async (t, clock) => {
    const store = await emptyPostgresStore({ clock });
    t.after(() => store.stop());
    const place = await server.newBucket();
    return { book: () => store.files!, blobs: () => createS3Blobs({ place, clock }) };
  });
});
