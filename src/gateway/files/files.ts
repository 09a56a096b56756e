/**
 * Files that callers upload once and name as inputs: `POST /v1/files`. Their bytes lie in a folder of blobs of their own
 * (`<data dir>/files`), what is known of them in `<data dir>/files.sqlite`. They are kept for a day, within bounds for
 * each caller and for all; they are no archive, and no part of a backup.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import type { BlobStore } from '../../blobs/blobs.ts';
import { createDirectoryBlobs } from '../../blobs/directory.ts';
import type { Clock, Timer } from '../../clock.ts';
import { PosternError, toPosternError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { createService, type Service } from '../../service.ts';
import { openSqliteFile, pragma, transact } from '../../sqlite.ts';

export interface StoredFile {
  readonly id: string;
  readonly caller: string;
  readonly name: string;
  readonly contentType: string;
  readonly bytes: number;
  /** The name of its blob. */
  readonly sha256: string;
  readonly md5: string;
  /** JSON, as the caller gave it. */
  readonly metadata: string;
  readonly createdAt: number;
  readonly expiresAt: number;
}

export interface NewFile {
  readonly id: string;
  readonly caller: string;
  readonly name: string;
  readonly contentType: string;
  readonly content: Uint8Array;
  readonly metadata: string;
}

export interface FilePage {
  readonly files: readonly StoredFile[];
  /** The id to go on after; null: this was the last page. */
  readonly next: string | null;
}

export interface Files extends Service {
  /** Resolves when it survives a power cut. Throws file_quota_exceeded or storage_full. */
  add(file: NewFile): Promise<StoredFile>;
  /** null: there is none, or its time is over. */
  get(id: string): StoredFile | null;
  read(file: StoredFile): Promise<Uint8Array | null>;
  /** Newest first. `caller` undefined: everybody's. */
  list(request: {
    readonly caller: string | undefined;
    readonly limit: number;
    readonly after: string | null;
  }): FilePage;
  remove(id: string): Promise<boolean>;
}

export interface FilesOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly ttlMs: number;
  /** Of all files together. */
  readonly maxBytes: number;
  /** Of one caller's files. */
  readonly maxCallerBytes: number;
}

const APPLICATION_ID = 0x504f5346; // "POSF"
const CACHE_KIB = 1_024;
/** A row is some 500 bytes: 5 MB of rows. */
const MAX_CALLER_FILES = 10_000;
const SWEEP_MS = 60_000;
/** Per sweep: some ms of work. */
const SWEEP_FILES = 1_000;
/** A row follows its blob at once; a blob without one after an hour is a left-over. */
const ORPHAN_MS = 3_600_000;
const FORMAT = 1;
const TABLE = `CREATE TABLE file (
  id TEXT PRIMARY KEY,
  caller TEXT NOT NULL,
  name TEXT NOT NULL,
  content_type TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  md5 TEXT NOT NULL,
  metadata TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX file_caller ON file (caller, id);
CREATE INDEX file_expiry ON file (expires_at);
CREATE INDEX file_blob ON file (sha256);`;

export function createFiles(options: FilesOptions): Files {
  const { dataDir, clock, logger } = options;
  const blobs: BlobStore = createDirectoryBlobs({ folder: join(dataDir, 'files'), clock });
  let opened: DatabaseSync | undefined;
  let sweeping: Timer | undefined;
  let clearing: Timer | undefined;
  let adding = 0;

  function db(): DatabaseSync {
    if (opened) return opened;
    throw new PosternError('draining', 'The gateway stops.', { retryAfterS: 1 });
  }

  const rows = (sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] =>
    db()
      .prepare(sql)
      .all(...values);

  /** Throws when `bytes` more would be too much. Inside the transaction that adds them nobody can come between. */
  function checkRoom(caller: string, bytes: number): void {
    const [all] = rows('SELECT coalesce(sum(bytes), 0) AS bytes FROM file');
    const [own] = rows('SELECT coalesce(sum(bytes), 0) AS bytes, count(*) AS files FROM file WHERE caller = ?', caller);
    if (Number(own?.bytes) + bytes > options.maxCallerBytes || Number(own?.files) >= MAX_CALLER_FILES) {
      throw new PosternError(
        'file_quota_exceeded',
        `Your files may take ${options.maxCallerBytes} bytes, and be ${MAX_CALLER_FILES}. Delete some, or wait until they end.`,
      );
    }
    if (Number(all?.bytes) + bytes > options.maxBytes) {
      throw new PosternError('storage_full', `The place for uploaded files (${options.maxBytes} bytes) is full.`, {
        retryAfterS: SWEEP_MS / 1_000,
      });
    }
  }

  /** While an upload is between its blob and its row, nobody can say which blob is not used. */
  const isUsed = (sha256: string): Promise<boolean> =>
    Promise.resolve(adding > 0 || rows('SELECT 1 FROM file WHERE sha256 = ? LIMIT 1', sha256).length > 0);

  /** The file of another upload may have the same content, and one that arrives just now too. */
  const dropBlob = (sha256: string): Promise<boolean> => blobs.removeUnused(sha256, { putBefore: clock.now(), isUsed });

  async function sweep(): Promise<void> {
    const ended = rows('SELECT id, sha256 FROM file WHERE expires_at <= ? LIMIT ?', clock.now(), SWEEP_FILES);
    transact(db(), () => {
      const remove = db().prepare('DELETE FROM file WHERE id = ?');
      for (const { id } of ended) remove.run(id as string);
    });
    for (const { sha256 } of ended) await dropBlob(sha256 as string);
  }

  /** What an upload that was cut off between its blob and its row left behind. */
  async function removeOrphans(): Promise<void> {
    const putBefore = clock.now() - ORPHAN_MS;
    for (let after: string | null = null; ;) {
      const page = await blobs.list(after, SWEEP_FILES);
      for (const { key, putAt } of page) if (putAt < putBefore) await blobs.removeUnused(key, { putBefore, isUsed });
      const last = page.at(-1);
      if (!last) return;
      after = last.key;
    }
  }

  const quietly = (what: string, work: () => Promise<void>): void => {
    work().catch((error: unknown) => {
      if (opened) logger.error('uploaded files could not be cleared', { what, error: toPosternError(error).message });
    });
  };

  function insert({ content, ...file }: NewFile, sha256: string): StoredFile {
    const createdAt = clock.now();
    const md5 = createHash('md5').update(content).digest('hex');
    const bytes = content.byteLength;
    const stored = { ...file, bytes, sha256, md5, createdAt, expiresAt: createdAt + options.ttlMs };
    const { id, caller, name, contentType, metadata, expiresAt } = stored;
    transact(db(), () => {
      checkRoom(caller, bytes);
      db()
        .prepare('INSERT INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
        .run(id, caller, name, contentType, bytes, sha256, md5, metadata, createdAt, expiresAt);
    });
    return stored;
  }

  const service = createService({
    async start() {
      await blobs.start();
      const path = join(dataDir, 'files.sqlite');
      opened = openSqliteFile(
        { path, what: 'list of files', applicationId: APPLICATION_ID, cacheKib: CACHE_KIB },
        prepare,
      );
      quietly('left over', removeOrphans);
      sweeping = clock.every(SWEEP_MS, () => quietly('ended', sweep));
      clearing = clock.every(ORPHAN_MS, () => quietly('left over', removeOrphans));
    },
    async stop() {
      sweeping?.cancel();
      clearing?.cancel();
      const file = opened;
      opened = undefined;
      file?.close();
      await blobs.stop();
    },
  });

  return {
    ...service,
    async add(file) {
      checkRoom(file.caller, file.content.byteLength);
      adding += 1;
      try {
        return insert(file, await blobs.put(file.content));
      } finally {
        adding -= 1;
      }
    },
    get(id) {
      const [row] = rows('SELECT * FROM file WHERE id = ? AND expires_at > ?', id, clock.now());
      return row === undefined ? null : fileOf(row);
    },
    read: ({ sha256 }) => blobs.get(sha256),
    list({ caller, limit, after }) {
      // One more than asked for tells whether there is a next page. An id sorts by the time of its making.
      const found = rows(
        `SELECT * FROM file WHERE expires_at > ? AND id < ? ${caller === undefined ? '' : 'AND caller = ?'}
         ORDER BY id DESC LIMIT ?`,
        ...[clock.now(), after ?? '~', ...(caller === undefined ? [] : [caller]), limit + 1],
      ).map(fileOf);
      const files = found.slice(0, limit);
      return { files, next: found.length > limit ? (files.at(-1)?.id ?? null) : null };
    },
    async remove(id) {
      const [row] = rows('DELETE FROM file WHERE id = ? RETURNING sha256', id);
      if (row === undefined) return false;
      await dropBlob(row.sha256 as string);
      return true;
    },
  };
}

function prepare(db: DatabaseSync): void {
  const format = pragma(db, 'PRAGMA user_version') as number;
  if (format === FORMAT) return;
  if (format > FORMAT) throw new Error(`it has format ${format}, and this Postern knows ${FORMAT}`);
  transact(db, () => {
    if (pragma(db, 'PRAGMA user_version') === FORMAT) return;
    db.exec(TABLE);
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
    db.exec(`PRAGMA user_version = ${FORMAT}`);
  });
}

function fileOf(row: Record<string, unknown>): StoredFile {
  return {
    id: row.id as string,
    caller: row.caller as string,
    name: row.name as string,
    contentType: row.content_type as string,
    bytes: row.bytes as number,
    sha256: row.sha256 as string,
    md5: row.md5 as string,
    metadata: row.metadata as string,
    createdAt: row.created_at as number,
    expiresAt: row.expires_at as number,
  };
}
