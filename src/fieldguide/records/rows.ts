/** Between rows and what they mean. */
import type { Kysely, Selectable, Transaction } from 'kysely';
import type { Outcome, PhotoResult } from '../identify/outcome.ts';
import type { Feedback, Identification, NewIdentification, Photo, Removed } from './records.ts';
import type { IdentificationTable, PhotoTable, Tables } from './tables.ts';

export type Db = Kysely<Tables> | Transaction<Tables>;

const parsed = <T>(text: string | null): T | null => (text === null ? null : (JSON.parse(text) as T));

export function identificationOf(row: Selectable<IdentificationTable>, photos: readonly Photo[]): Identification {
  return {
    id: row.id,
    guide: row.guide,
    owner: row.owner,
    state: row.state,
    round: row.round,
    createdAt: row.created_at,
    decidedAt: row.decided_at,
    photosExpireAt: row.photos_expire_at,
    expiresAt: row.expires_at,
    outcome: parsed<Outcome>(row.outcome),
    feedback: parsed<Feedback>(row.feedback),
    share: row.share_token === null ? null : { token: row.share_token, photos: row.share_photos === 1 },
    photos,
  };
}

const photoOf = ({ n, width, height, blob, thumb, job, result }: Selectable<PhotoTable>): Photo => ({
  n,
  width,
  height,
  blob,
  thumb,
  job,
  result: parsed<PhotoResult>(result),
});

/** In the order of the rows. Two statements for any number of them. */
export async function withPhotos(db: Db, rows: readonly Selectable<IdentificationTable>[]): Promise<Identification[]> {
  if (rows.length === 0) return [];
  const photos = await db
    .selectFrom('photo')
    .selectAll()
    .where(
      'identification',
      'in',
      rows.map(({ id }) => id),
    )
    .orderBy('n')
    .execute();
  const byId = Map.groupBy(photos, ({ identification }) => identification);
  return rows.map((row) => identificationOf(row, (byId.get(row.id) ?? []).map(photoOf)));
}

export async function insertRows(db: Db, identification: NewIdentification): Promise<void> {
  const { id, guide, owner, createdAt, photosExpireAt, expiresAt, idempotencyKey, photos } = identification;
  await db
    .insertInto('identification')
    .values({
      id,
      guide,
      owner,
      state: 'arriving',
      round: 1,
      created_at: createdAt,
      decided_at: null,
      photos_expire_at: photosExpireAt,
      has_photos: 1,
      expires_at: expiresAt,
      idempotency_key: idempotencyKey,
      outcome: null,
      find: null,
      feedback: null,
      share_token: null,
      share_photos: 0,
    })
    .execute();
  await db
    .insertInto('photo')
    .values(photos.map((photo, n) => ({ identification: id, n, ...photo, job: null, result: null })))
    .execute();
}

export const NOTHING_REMOVED: Removed = { blobs: [], jobs: [], undecidedJobs: [] };

/** Removes these identifications, and says what they leave behind. */
export async function removeRows(db: Db, ids: readonly string[]): Promise<Removed> {
  if (ids.length === 0) return NOTHING_REMOVED;
  const rows = await db
    .selectFrom('identification')
    .select(['id', 'guide', 'owner', 'find'])
    .where('id', 'in', ids)
    .execute();
  const photos = await db
    .selectFrom('photo')
    .select(['blob', 'thumb', 'job', 'result'])
    .where('identification', 'in', ids)
    .execute();
  await db.deleteFrom('photo').where('identification', 'in', ids).execute();
  await db.deleteFrom('identification').where('id', 'in', ids).execute();
  for (const row of rows) if (row.find !== null) await forgetFind(db, { ...row, find: row.find });
  return removedOf(photos);
}

export const removedOf = (photos: readonly Pick<Selectable<PhotoTable>, 'blob' | 'thumb' | 'job' | 'result'>[]) => ({
  blobs: [...new Set(photos.flatMap(({ blob, thumb }) => [blob, thumb]).filter((key) => key !== null))],
  jobs: photos.flatMap(({ job }) => job ?? []),
  undecidedJobs: photos.flatMap(({ job, result }) => (job !== null && result === null ? [job] : [])),
});

interface Found {
  readonly guide: string;
  readonly owner: string;
  readonly find: string;
}

/** Another identification of the same owner may have found it too. */
export async function forgetFind(db: Db, { guide, owner, find }: Found): Promise<void> {
  const other = await db
    .selectFrom('identification')
    .select('id')
    .where('owner', '=', owner)
    .where('guide', '=', guide)
    .where('find', '=', find)
    .limit(1)
    .executeTakeFirst();
  if (other !== undefined) return;
  await db
    .deleteFrom('sighting')
    .where('visitor', '=', owner)
    .where('guide', '=', guide)
    .where('kind', '=', 'find')
    .where('entry', '=', find)
    .execute();
}
