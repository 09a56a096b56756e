/** The API keys in the control records. What is done to a key is written together with its entry in the audit log. */
import type { DatabaseSync } from 'node:sqlite';
import { PosternError } from '../../errors.ts';
import { appendAudit, prepareAudit, type Act } from '../audit.ts';
import type { RecordArea, Records } from '../records.ts';
import { parseKeyWish, type CheckedKey, type KeyRecord, type KeyWish, type Scope } from './key.ts';
import { digestOf, makeToken } from './token.ts';

const KEYS: RecordArea = {
  name: 'keys',
  steps: [
    `
    CREATE TABLE key (
      id                 TEXT    PRIMARY KEY,
      name               TEXT    NOT NULL,
      digest             TEXT    NOT NULL,     -- SHA-256 of the whole key, hex; the key itself is nowhere
      scopes             TEXT    NOT NULL,     -- JSON
      models             TEXT,                 -- JSON; NULL: all
      rate_per_s         REAL,
      burst_requests     INTEGER,
      max_undecided_jobs INTEGER,
      created_at         INTEGER NOT NULL,     -- times are epoch ms
      created_by         TEXT    NOT NULL,
      expires_at         INTEGER,
      revoked_at         INTEGER,
      last_used_at       INTEGER
    ) STRICT;
    `,
  ],
};

/** Ended ones included, which are kept so that their holders hear what happened. All of them are in memory. */
const MAX_KEYS = 100_000;

/** Makes the tables. Twice is fine. */
export function prepareKeys(records: Records): void {
  prepareAudit(records);
  records.prepare(KEYS);
}

/** Makes a key. The token in the answer is the only copy there will ever be. Throws bad_parameter. */
export function createKey(
  records: Records,
  wish: KeyWish,
  { actor, at }: Act,
): { readonly record: KeyRecord; readonly token: string } {
  const terms = parseKeyWish(wish, at);
  const { id, token } = makeToken();
  const record: KeyRecord = { ...terms, id, createdAt: at, createdBy: actor, revokedAt: null, lastUsedAt: null };
  records.write((db) => {
    if ((db.prepare('SELECT count(*) AS n FROM key').get()?.n as number) >= MAX_KEYS) {
      throw new PosternError('bad_parameter', `There are ${MAX_KEYS} keys, which is the limit.`);
    }
    db.prepare(
      `INSERT INTO key (id, name, digest, scopes, models, rate_per_s, burst_requests, max_undecided_jobs, created_at, created_by, expires_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ).run(
      id,
      terms.name,
      digestOf(token),
      JSON.stringify(terms.scopes),
      terms.models === null ? null : JSON.stringify(terms.models),
      terms.ratePerS,
      terms.burstRequests,
      terms.maxUndecidedJobs,
      at,
      actor,
      terms.expiresAt,
    );
    const { name, ...detail } = terms;
    appendAudit(db, { at, actor, action: 'key.create', target: `key:${id}`, detail: { name, ...detail } });
  });
  return { record, token };
}

/** Ends a key for good; again is fine. null: there is none with this id. */
export function revokeKey(records: Records, id: string, { actor, at }: Act): KeyRecord | null {
  return records.write((db) => {
    const record = findKey(db, id);
    if (record?.revokedAt !== null) return record;
    db.prepare('UPDATE key SET revoked_at = ? WHERE id = ?').run(at, id);
    appendAudit(db, { at, actor, action: 'key.revoke', target: `key:${id}`, detail: { name: record.name } });
    return { ...record, revokedAt: at };
  });
}

/** Newest first. */
export function listKeys(db: DatabaseSync): KeyRecord[] {
  return loadKeys(db).map(withoutDigest);
}

export function findKey(db: DatabaseSync, id: string): KeyRecord | null {
  const row = db.prepare('SELECT * FROM key WHERE id = ?').get(id);
  return row === undefined ? null : withoutDigest(keyOf(row));
}

/** For those who check keys. */
export function loadKeys(db: DatabaseSync): CheckedKey[] {
  return db.prepare('SELECT * FROM key ORDER BY created_at DESC, id').all().map(keyOf);
}

/** Notes that keys were used. Not an administrative act: no entry in the audit log. */
export function noteKeyUse(records: Records, ids: readonly string[], at: number): void {
  if (ids.length === 0) return;
  records.write((db) => {
    const note = db.prepare('UPDATE key SET last_used_at = max(coalesce(last_used_at, 0), ?) WHERE id = ?');
    for (const id of ids) note.run(at, id);
  });
}

function withoutDigest({ digest: _digest, ...record }: CheckedKey): KeyRecord {
  return record;
}

function keyOf(row: Record<string, unknown>): CheckedKey {
  return {
    id: row.id as string,
    name: row.name as string,
    digest: row.digest as string,
    scopes: JSON.parse(row.scopes as string) as Scope[],
    models: row.models === null ? null : (JSON.parse(row.models as string) as string[]),
    ratePerS: row.rate_per_s as number | null,
    burstRequests: row.burst_requests as number | null,
    maxUndecidedJobs: row.max_undecided_jobs as number | null,
    createdAt: row.created_at as number,
    createdBy: row.created_by as string,
    expiresAt: row.expires_at as number | null,
    revokedAt: row.revoked_at as number | null,
    lastUsedAt: row.last_used_at as number | null,
  };
}
