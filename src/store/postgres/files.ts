/** The files of all gateways' callers. What changes sums is a function in the database (`migrations/0003-files.sql`); times are the database's. */
import { createService } from '../../service.ts';
import { ARRIVAL_MS, callerIsFull, placeIsFull, type FileBook, type StoredFile } from '../files.ts';
import type { Row } from './connection.ts';
import { LOCK_SPACE, type Times } from './options.ts';
import type { Read } from './reads.ts';

/** Beside that of the migrations. Those of bounds are digests. */
const FILES_LOCK = 2;
const COLUMNS = 'id, caller, name, content_type, bytes, blob, md5, metadata, created_at, expires_at';

export interface FilesOptions {
  /** A statement that is lost is sent again: each of them may be done twice. */
  readonly read: Read;
  readonly times: Times;
}

export function createFiles({ read, times }: FilesOptions): FileBook {
  async function end(id: string | null, limit: number): Promise<number> {
    const [row] = await read('SELECT postern.file_ends_1($1, $2, $3, $4, $5)', [
      ...[id, limit, times.now(), LOCK_SPACE, FILES_LOCK],
    ]);
    return row?.[0] as number;
  }

  return {
    // Its connections are the store's.
    ...createService({ start: () => Promise.resolve(), stop: () => Promise.resolve() }),
    async arrive({ contentType, sha256, name, ...file }, limits) {
      const row = { ...file, name: JSON.stringify(name), content_type: contentType, blob: sha256 };
      const { maxBytes, maxCallerBytes, maxCallerFiles } = limits;
      const [answer] = await read('SELECT postern.file_arrives_1($1, $2, $3, $4, $5, $6, $7, $8)', [
        ...[JSON.stringify(row), maxBytes, maxCallerBytes, maxCallerFiles, ARRIVAL_MS, times.now()],
        ...[LOCK_SPACE, FILES_LOCK],
      ]);
      if (answer?.[0] === 'caller') throw callerIsFull(limits);
      if (answer?.[0] === 'place') throw placeIsFull(limits);
    },
    async keep(id, ttlMs) {
      const [row] = await read(
        `UPDATE postern.file SET is_kept = true,
           created_at = CASE WHEN is_kept THEN created_at ELSE postern.ms_1($2) END,
           expires_at = CASE WHEN is_kept THEN expires_at ELSE postern.ms_1($2) + $3 END
         WHERE id = $1 AND expires_at > postern.ms_1($2) RETURNING ${COLUMNS}`,
        [id, times.now(), ttlMs],
      );
      return row === undefined ? null : fileOf(row);
    },
    async get(id) {
      const [row] = await read(
        `SELECT ${COLUMNS} FROM postern.file WHERE id = $1 AND is_kept AND expires_at > postern.ms_1($2)`,
        [id, times.now()],
      );
      return row === undefined ? null : fileOf(row);
    },
    async list({ caller, limit, after }) {
      const rows = await read(
        `SELECT ${COLUMNS} FROM postern.file WHERE is_kept AND expires_at > postern.ms_1($1) AND id < $2
         ${caller === undefined ? '' : 'AND caller = $4'} ORDER BY id DESC LIMIT $3`,
        [times.now(), after ?? '~', limit, ...(caller === undefined ? [] : [caller])],
      );
      return rows.map(fileOf);
    },
    remove: async (id) => (await end(id, 1)) > 0,
    expire: (limit) => end(null, limit),
    async unnamed(after, limit) {
      const sql = 'SELECT key FROM postern.unnamed_file_blob WHERE key > $1 ORDER BY key LIMIT $2';
      return (await read(sql, [after, limit])).map(([key]) => key as string);
    },
    async isNamed(key) {
      const [row] = await read('SELECT EXISTS (SELECT 1 FROM postern.file WHERE blob = $1)', [key]);
      return row?.[0] === true;
    },
    dropUnnamed: (keys) => read('DELETE FROM postern.unnamed_file_blob WHERE key = ANY ($1)', [keys]),
  };
}

function fileOf(row: Row): StoredFile {
  const [id, caller, name, contentType, bytes, sha256, md5, metadata, createdAt, expiresAt] = row as [
    ...[id: string, caller: string, name: string, contentType: string, bytes: number],
    ...[sha256: string, md5: string, metadata: string, createdAt: number, expiresAt: number],
  ];
  return {
    ...{ id, caller, name: JSON.parse(name) as string, contentType, bytes },
    ...{ sha256, md5, metadata, createdAt, expiresAt },
  };
}
