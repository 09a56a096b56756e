/**
 * The control records: who may connect and who may call, in `<data dir>/control.sqlite`. Several processes have it open: a
 * command writes while gateways run. Each area (workers, keys, …) brings its own tables as numbered steps and its own
 * functions; this file is the owner of the connection, of the steps taken, and of noticing what other processes wrote.
 *
 * Nothing on a hot path asks SQLite. It reads a {@link Snapshot}, which is loaded anew after each change: at once after a
 * commit of this process, within {@link POLL_MS} after one of another.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { Clock, Timer } from '../clock.ts';
import { PosternError } from '../errors.ts';
import { copySqliteFile } from '../sqlite-copy.ts';
import { openSqliteFile, pragma, transact } from '../sqlite.ts';

const APPLICATION_ID = 0x504f5343; // "POSC"
/** A few thousand rows in all. */
const CACHE_KIB = 1_024;
/** What is taken back must be noticed within a second, also by other processes; the question costs some microseconds. */
export const POLL_MS = 200;

/** The tables of one concern. A step is never changed once it was released; the next one is added behind it. */
export interface RecordArea {
  readonly name: string;
  readonly steps: readonly string[];
}

/** What was in the records after the last change that was noticed. */
export interface Snapshot<T> {
  readonly value: T;
}

export interface Records {
  /** Makes the tables of an area. To be called before anything else of it, by whoever owns the area. */
  prepare(area: RecordArea): void;
  /** For questions that must not be older than this very moment. */
  readonly db: DatabaseSync;
  /**
   * One durable step: what `body` wrote is flushed when this returns, and nothing of it stands when it throws. What SQLite
   * throws becomes storage_full or storage_failed.
   */
  write<T>(body: (db: DatabaseSync) => T): T;
  /** Loads now, and again after each change. When a load fails, the last value stays and `onFailure` hears of it. */
  snapshot<T>(load: (db: DatabaseSync) => T): Snapshot<T>;
  /** Called after each change, when the snapshots are new. Returns how to end that. */
  onChange(observer: () => void): () => void;
  /** Begins to notice what other processes write. */
  watch(clock: Clock, onFailure: (error: unknown) => void): void;
  /**
   * Notices at once what other processes have written until now, where that is a question of some microseconds (a file of this
   * machine). Over a network it waits for the next poll.
   */
  notice(): void;
  close(): void;
}

/** What is told to everybody who reads: the values loaded anew after a change, and the observers. One per open records. */
export function createReaders(db: () => DatabaseSync): Pick<Records, 'snapshot' | 'onChange'> & {
  changed(): void;
  forget(): void;
} {
  const snapshots = new Set<() => void>();
  const observers = new Set<() => void>();
  return {
    snapshot<T>(load: (db: DatabaseSync) => T): Snapshot<T> {
      let value = load(db());
      snapshots.add(() => (value = load(db())));
      return {
        get value() {
          return value;
        },
      };
    },
    onChange(observer) {
      observers.add(observer);
      return () => observers.delete(observer);
    },
    changed() {
      for (const load of snapshots) load();
      for (const observe of [...observers]) observe();
    },
    forget: () => observers.clear(),
  };
}

export const recordsPath = (dataDir: string): string => join(dataDir, 'control.sqlite');

/** Opens the records of this data folder, made when missing. Throws config_invalid when they cannot be used. */
export function openRecords(dataDir: string): Records {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const path = recordsPath(dataDir);
  const file = { path, what: 'control records', applicationId: APPLICATION_ID, cacheKib: CACHE_KIB };
  const db = openSqliteFile(file, prepareFile);
  const readers = createReaders(() => db);
  let seenVersion = dataVersion(db);
  let polling: Timer | undefined;
  let onLoadFailure: (error: unknown) => void = () => undefined;

  function notice(): void {
    try {
      const version = dataVersion(db);
      if (version === seenVersion) return;
      readers.changed();
      // Only after the loads: one that failed is tried again with the next poll.
      seenVersion = version;
    } catch (error) {
      onLoadFailure(error);
    }
  }

  return {
    db,
    notice,
    prepare: (area) => takeSteps(db, path, area),
    write(body) {
      const result = written(() => transact(db, () => body(db)));
      readers.changed();
      return result;
    },
    snapshot: readers.snapshot,
    onChange: readers.onChange,
    watch(clock, onFailure) {
      onLoadFailure = onFailure;
      polling ??= clock.every(POLL_MS, notice);
    },
    close() {
      polling?.cancel();
      readers.forget();
      if (db.isOpen) db.close();
    },
  };
}

/** Copies the records of one data folder into another, as they are at this moment. False: there are none. */
export async function copyRecords(fromDataDir: string, toDataDir: string): Promise<boolean> {
  if (!existsSync(recordsPath(fromDataDir))) return false;
  const records = openRecords(fromDataDir);
  try {
    await copySqliteFile(records.db, recordsPath(toDataDir), 'control records');
    return true;
  } finally {
    records.close();
  }
}

/** A disk that is full or broken is the operator's to hear of, in words; anything else that is thrown stays as it is. */
function written<T>(write: () => T): T {
  try {
    return write();
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_SQLITE_ERROR') throw error;
    const code = (error as { errcode?: unknown }).errcode === SQLITE_FULL ? 'storage_full' : 'storage_failed';
    throw new PosternError(code, `the control records cannot be written: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

const SQLITE_FULL = 13;

/** Grows with each commit of another connection, and only with those. */
const dataVersion = (db: DatabaseSync): number => pragma(db, 'PRAGMA data_version') as number;

export function prepareFile(db: DatabaseSync): void {
  if (pragma(db, 'PRAGMA application_id') === APPLICATION_ID) return;
  transact(db, () => {
    db.exec('CREATE TABLE IF NOT EXISTS area (name TEXT PRIMARY KEY, steps INTEGER NOT NULL) STRICT, WITHOUT ROWID');
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
  });
}

/** How far the tables of this area have come. */
export const stepsOf = (db: DatabaseSync, name: string): number =>
  (db.prepare('SELECT steps FROM area WHERE name = ?').get(name)?.steps as number) ?? 0;

/** Takes the tables of an area to their present form. `place` is for the message. */
export function takeSteps(db: DatabaseSync, place: string, { name, steps }: RecordArea): void {
  if (stepsOf(db, name) === steps.length) return;
  transact(db, () => {
    // Asked inside: another process may have been first.
    const done = stepsOf(db, name);
    if (done > steps.length) {
      throw new PosternError(
        'config_invalid',
        `${place} has format ${done} of ${name} and this Postern knows ${steps.length}: use the release that wrote it, or a newer one`,
      );
    }
    for (const step of steps.slice(done)) db.exec(step);
    db.prepare('INSERT INTO area VALUES (?, ?) ON CONFLICT DO UPDATE SET steps = excluded.steps').run(
      name,
      steps.length,
    );
  });
}
