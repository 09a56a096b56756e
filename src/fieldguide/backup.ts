/**
 * The field guide's part of a backup: its records as they were at one moment, and the photos that they name. Photos that are still arriving
 * are named before they are there, and are left out: whoever sent them was promised nothing yet.
 */
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { BlobKey, BlobStore } from '../blobs/blobs.ts';
import { copyBlobs, copyWithBlobs } from '../blobs/copy.ts';
import { PosternError } from '../errors.ts';
import { copySqliteFile } from '../sqlite-copy.ts';
import { openSqliteRecordsFile } from './records/sqlite.ts';

/** Where a gateway with this data folder, or a backup, has its field guide, unless that is in PostgreSQL and S3. */
export const guideRecordsPath = (dataDir: string): string => join(dataDir, 'fieldguide.sqlite');
export const photosFolder = (dataDir: string): string => join(dataDir, 'photos');

/** A file of records and the photos beside it. The photos are started and stopped here. */
export interface GuidePlace {
  readonly records: string;
  readonly photos: BlobStore;
}

/** Resolves to how many files of photos were copied; null: there is no field guide. Runs beside a gateway. */
export async function backupGuide(from: GuidePlace, to: GuidePlace): Promise<number | null> {
  if (!existsSync(from.records)) return null;
  const copy = async (): Promise<BlobKey[]> => {
    await rm(to.records, { force: true });
    await copyRecords(from.records, to.records);
    return namedPhotos(to.records);
  };
  return copyWithBlobs(copy, from.photos, to.photos);
}

/**
 * Only to where no field guide is, for what people deleted since must stay deleted; null then, and when the backup holds none. The photos
 * come first: the file is what makes it a field guide.
 */
export async function restoreGuide(from: GuidePlace, to: GuidePlace): Promise<number | null> {
  if (!existsSync(from.records) || existsSync(to.records)) return null;
  const keys = namedPhotos(from.records);
  if (!(await copyBlobs(keys, from.photos, to.photos))) {
    throw new PosternError(
      'storage_failed',
      `${dirname(from.records)} is not complete: a photo that it names is missing`,
    );
  }
  await mkdir(dirname(to.records), { recursive: true, mode: 0o700 });
  await copyRecords(from.records, to.records);
  return keys.length;
}

async function copyRecords(from: string, to: string): Promise<void> {
  const db = openSqliteRecordsFile(from);
  try {
    await copySqliteFile(db, to, 'records of the field guide');
  } finally {
    db.close();
  }
}

function namedPhotos(path: string): BlobKey[] {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const named = (column: string): string =>
      `SELECT photo.${column} AS key FROM photo JOIN identification ON identification.id = photo.identification
        WHERE photo.${column} IS NOT NULL AND identification.state <> 'arriving'`;
    return db
      .prepare(`${named('blob')} UNION ${named('thumb')}`)
      .all()
      .map(({ key }) => String(key));
  } finally {
    db.close();
  }
}
