/** The tables of the field guide, the same in SQLite and PostgreSQL. Epoch ms are whole numbers, JSON is text. */

export interface IdentificationTable {
  id: string;
  guide: string;
  owner: string;
  state: 'arriving' | 'open' | 'decided';
  round: number;
  created_at: number;
  decided_at: number | null;
  /** 0 once they are gone. */
  photos_expire_at: number;
  has_photos: 0 | 1;
  expires_at: number;
  idempotency_key: string | null;
  outcome: string | null;
  /** The entry that counts as found by it; null: none. */
  find: string | null;
  feedback: string | null;
  share_token: string | null;
  share_photos: 0 | 1;
}

export interface PhotoTable {
  identification: string;
  n: number;
  width: number;
  height: number;
  blob: string | null;
  thumb: string | null;
  job: string | null;
  result: string | null;
}

export interface OwnerTable {
  id: string;
  seen_at: number;
}

/** Who found or read about what, and when last: one row a visitor and entry, so that each counts once in any window. */
export interface SightingTable {
  guide: string;
  kind: 'find' | 'view';
  entry: string;
  visitor: string;
  last_at: number;
}

/** Sightings of visitors who are forgotten. */
export interface TallyTable {
  guide: string;
  kind: 'find' | 'view';
  entry: string;
  count: number;
}

export interface SnapshotTable {
  id: string;
  guide: string;
  period: string;
  made_at: number;
  items: string;
}

export interface Tables {
  identification: IdentificationTable;
  photo: PhotoTable;
  owner: OwnerTable;
  sighting: SightingTable;
  tally: TallyTable;
  ranking: SnapshotTable;
}

/** Steps by which a database comes to its present form. A step is never changed once it was released. `BIGINT` is 64 bits in both. */
export const STEPS: readonly (readonly string[])[] = [
  [
    `CREATE TABLE identification (
      id TEXT PRIMARY KEY,
      guide TEXT NOT NULL,
      owner TEXT NOT NULL,
      state TEXT NOT NULL,
      round INTEGER NOT NULL,
      created_at BIGINT NOT NULL,
      decided_at BIGINT,
      photos_expire_at BIGINT NOT NULL,
      has_photos INTEGER NOT NULL,
      expires_at BIGINT NOT NULL,
      idempotency_key TEXT,
      outcome TEXT,
      find TEXT,
      feedback TEXT,
      share_token TEXT,
      share_photos INTEGER NOT NULL
    )`,
    'CREATE INDEX identification_owner ON identification (owner, created_at, id)',
    `CREATE INDEX identification_undecided ON identification (id) WHERE state <> 'decided'`,
    'CREATE UNIQUE INDEX identification_key ON identification (owner, idempotency_key) WHERE idempotency_key IS NOT NULL',
    'CREATE UNIQUE INDEX identification_share ON identification (share_token) WHERE share_token IS NOT NULL',
    'CREATE INDEX identification_photos ON identification (photos_expire_at) WHERE has_photos = 1',
    'CREATE INDEX identification_expiry ON identification (expires_at)',
    `CREATE TABLE photo (
      identification TEXT NOT NULL REFERENCES identification (id) ON DELETE CASCADE,
      n INTEGER NOT NULL,
      width INTEGER NOT NULL,
      height INTEGER NOT NULL,
      blob TEXT,
      thumb TEXT,
      job TEXT,
      result TEXT,
      PRIMARY KEY (identification, n)
    )`,
    'CREATE INDEX photo_blob ON photo (blob) WHERE blob IS NOT NULL',
    'CREATE INDEX photo_thumb ON photo (thumb) WHERE thumb IS NOT NULL',
    'CREATE TABLE owner (id TEXT PRIMARY KEY, seen_at BIGINT NOT NULL)',
    'CREATE INDEX owner_seen ON owner (seen_at)',
    `CREATE TABLE sighting (
      guide TEXT NOT NULL,
      kind TEXT NOT NULL,
      entry TEXT NOT NULL,
      visitor TEXT NOT NULL,
      last_at BIGINT NOT NULL,
      PRIMARY KEY (visitor, guide, kind, entry)
    )`,
    'CREATE INDEX sighting_window ON sighting (guide, kind, last_at, entry)',
    `CREATE TABLE tally (
      guide TEXT NOT NULL,
      kind TEXT NOT NULL,
      entry TEXT NOT NULL,
      count BIGINT NOT NULL,
      PRIMARY KEY (guide, kind, entry)
    )`,
    `CREATE TABLE ranking (
      id TEXT PRIMARY KEY,
      guide TEXT NOT NULL,
      period TEXT NOT NULL,
      made_at BIGINT NOT NULL,
      items TEXT NOT NULL
    )`,
    'CREATE INDEX ranking_newest ON ranking (guide, period, made_at)',
  ],
];
