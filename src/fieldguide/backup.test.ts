/** A field guide that runs is copied away and comes back elsewhere, with its photos; never over one that is there. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createDirectoryBlobs } from '../blobs/directory.ts';
import { systemClock } from '../clock.ts';
import { succeeded } from '../../test/support/fake-predictions.ts';
import { startFieldGuide } from '../../test/support/field-guide.ts';
import { pattern } from '../../test/support/images.ts';
import { createVisitor } from '../../test/support/visitor.ts';
import { backupGuide, guideRecordsPath, photosFolder, restoreGuide, type GuidePlace } from './backup.ts';
import { createSqliteRecords } from './records/sqlite.ts';

const placeAt = (folder: string): GuidePlace => ({
  records: guideRecordsPath(folder),
  photos: createDirectoryBlobs({ folder: photosFolder(folder), clock: systemClock }),
});

test('a backup is made while the guide runs, and holds what people have and what their photos show', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'postern-guide-backup-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const [backup, there] = [join(root, 'backup'), join(root, 'there')];
  const guide = await startFieldGuide(t);
  guide.fake.ending = succeeded();
  const ada = createVisitor(guide.base);
  const kept = await ada.identify([await pattern(64, 48).jpeg().toBuffer()]);
  await ada.decided(kept.id);
  const photoOf = async (visitor: typeof ada, id: string): Promise<Buffer> =>
    Buffer.from(await (await visitor.fetch(`/api/identifications/${id}/photos/0`)).arrayBuffer());
  const photo = await photoOf(ada, kept.id);
  assert.ok(photo.length > 100);

  assert.equal(await backupGuide(placeAt(guide.folder), placeAt(backup)), 2, 'the photo and its small form');
  assert.equal((await ada.fetch(`/api/identifications/${kept.id}`, { method: 'DELETE' })).status, 204);
  assert.equal(await restoreGuide(placeAt(backup), placeAt(guide.folder)), null, 'what was deleted stays deleted');
  assert.equal((await ada.fetch(`/api/identifications/${kept.id}`)).status, 404);

  assert.equal(await restoreGuide(placeAt(backup), placeAt(there)), 2);
  const again = await startFieldGuide(t, { folder: there });
  const same = createVisitor(again.base, { cookie: ada.cookie });
  assert.equal((await same.read(kept.id)).status, 'decided');
  assert.deepEqual(await photoOf(same, kept.id), photo);
});

test('photos that are still arriving are no part of it; one that is lost is said, and nothing comes back then', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'postern-guide-backup-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const [here, backup, there] = [join(root, 'here'), join(root, 'backup'), join(root, 'there')];
  assert.equal(await backupGuide(placeAt(here), placeAt(backup)), null, 'there is no field guide');
  assert.equal(await restoreGuide(placeAt(backup), placeAt(there)), null, 'nor in the backup');

  const records = createSqliteRecords(guideRecordsPath(here));
  await records.start();
  t.after(() => records.stop());
  const bytes = Buffer.from('photo');
  const key = createHash('sha256').update(bytes).digest('hex');
  const one = {
    ...{ id: 'one', guide: 'plants', owner: key, createdAt: 1, photosExpireAt: 2, expiresAt: 3, idempotencyKey: null },
    photos: [{ width: 4, height: 3, blob: key, thumb: key }],
  };
  await records.insert(one, { maxUndecided: 1, maxOwned: 1, maxWaiting: 1 });
  assert.equal(await backupGuide(placeAt(here), placeAt(backup)), 0);

  const { photos } = placeAt(here);
  await photos.start();
  await photos.put(bytes);
  await photos.stop();
  await records.arrived('one');
  await rm(backup, { recursive: true });
  assert.equal(await backupGuide(placeAt(here), placeAt(backup)), 1);
  await rm(photosFolder(backup), { recursive: true });
  await assert.rejects(restoreGuide(placeAt(backup), placeAt(there)), { code: 'storage_failed' });
  assert.equal(await restoreGuide(placeAt(there), placeAt(join(root, 'nowhere'))), null, 'there are no records there');
  await rm(photosFolder(here), { recursive: true });
  await assert.rejects(backupGuide(placeAt(here), placeAt(join(root, 'other'))), { code: 'storage_failed' });
});
