/**
 * Control records that several gateways share: PostgreSQL keeps the order of what is written, and every process has a replica
 * in memory, an SQLite of the same tables. So nothing of what is asked on the way of a connection or a job goes to a database,
 * and the areas (workers, keys, the audit log, …) are the same code as on one machine.
 *
 * A write takes the right to write from PostgreSQL, brings the replica up to date, runs in the replica, and counts when PostgreSQL has
 * committed what SQLite recorded of it (a changeset). When that fails, the replica takes it back, and whoever wrote is told. If the
 * answer was lost and the change was committed all the same, it arrives as anybody else's does.
 *
 * A gateway that cannot reach PostgreSQL goes on with what it knows; nothing can be written then, and jobs are not given out either,
 * because they live there too.
 */
import { constants, DatabaseSync } from 'node:sqlite';
import type { Clock, Timer } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import { createReaders, POLL_MS, prepareFile, stepsOf, takeSteps, type RecordArea, type Records } from '../records.ts';
import { openControlLog } from './log.ts';
import type { Areas, Image, News, Request } from './wire.ts';

export interface SharedRecordsOptions {
  readonly url: Secret;
  readonly clock: Clock;
  /** All of other records, to begin with when there are none in PostgreSQL: of the one machine that becomes several. */
  readonly seed?: () => Uint8Array | null;
  /** From so many entries, or bytes of them, a new image takes their place: a gateway that starts reads no more. */
  readonly limits?: { readonly entries: number; readonly bytes: number };
}

/** Knows nothing yet. */
const NOWHERE = -1;
const PLACE = 'the database of the control records';
const LIMITS = { entries: 1_000, bytes: 8 << 20 };

export function openSharedRecords(options: SharedRecordsOptions): Records {
  const { url, clock, seed = () => null, limits = LIMITS } = options;
  const db = new DatabaseSync(':memory:', { enableForeignKeyConstraints: true });
  const log = openControlLog(url, () => clock.monotonic());
  const readers = createReaders(() => db);
  let position = NOWHERE;
  let polling: Timer | undefined;
  let isReading = false;
  let isClosed = false;

  /** Brings the replica up to date. True: something was new. */
  function take({ image, entries }: News): boolean {
    const before = position;
    if (image !== null && image.seq > position) {
      db.deserialize(image.bytes);
      db.exec('PRAGMA foreign_keys = ON');
      position = image.seq;
    }
    for (const { seq, changes } of entries) {
      if (seq <= position) continue;
      if (seq !== position + 1) throw broken(`entry ${position + 1} is missing`);
      if (!db.applyChangeset(changes, { onConflict: () => constants.SQLITE_CHANGESET_ABORT })) {
        throw broken(`entry ${seq} does not fit`);
      }
      position = seq;
    }
    return position !== before;
  }

  /** The replica is not what it should be; the next news begin with the image. */
  function broken(why: string): PosternError {
    position = NOWHERE;
    return new PosternError('storage_failed', `the control records of this gateway are not as the others': ${why}`);
  }

  /** Runs `body` while nobody else writes, on a replica that is up to date. What it returns is committed. */
  function alone<T>(body: () => Done<T>): T {
    const news = log.ask({ type: 'begin', position });
    let isHeld = true;
    const giveBack = (request: Request): void => {
      isHeld = false;
      log.ask(request);
    };
    try {
      if (news.type !== 'news') throw broken('another answer came');
      if (take(news.news)) readers.changed();
      const { sinceImage, areas: kept } = news;
      const isLong = sinceImage.entries >= limits.entries || sinceImage.bytes >= limits.bytes;
      // As it is before this change: an image has only what is committed here.
      const before = isLong ? imageFor(kept) : null;
      db.exec('BEGIN IMMEDIATE');
      const { result, changes, isImaged } = body();
      const image = isImaged ? imageFor(kept) : before;
      const seq = Math.max(0, position) + (changes.length > 0 ? 1 : 0);
      const entry = changes.length > 0 ? { seq, changes } : null;
      giveBack(entry === null && image === null ? { type: 'abort' } : { type: 'commit', entry, image });
      position = seq;
      db.exec('COMMIT');
      return result;
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      if (isHeld) abort();
      throw error;
    }
  }

  /** null: a release that knows fewer tables than the kept image has would take them away from the others. */
  function imageFor(kept: Areas | null): Image | null {
    const areas = areasOf(db);
    return covers(areas, kept ?? {}) ? { seq: Math.max(0, position), areas, bytes: db.serialize() } : null;
  }

  /** Gives the right to write back. When that fails too, PostgreSQL takes it back with the connection. */
  function abort(): void {
    try {
      log.ask({ type: 'abort' });
    } catch {
      // Said by whoever asks next.
    }
  }

  /** Tables are made where they are first used; whoever comes later finds them in the image. */
  function prepare(area: RecordArea): void {
    if (stepsOf(db, area.name) === area.steps.length) return;
    // Entries about tables that this replica did not have are lost to it: it begins anew with the image.
    position = NOWHERE;
    alone(() => {
      if (stepsOf(db, area.name) === area.steps.length) return NOTHING;
      // What is taken here is no entry: another process takes the same steps, or begins with the image.
      db.exec('COMMIT');
      takeSteps(db, PLACE, area);
      db.exec('BEGIN IMMEDIATE');
      return { ...NOTHING, isImaged: true };
    });
  }

  async function look(): Promise<void> {
    const news = await log.read(position);
    if (!isClosed && take(news)) readers.changed();
  }

  function begin(): void {
    const news = log.ask({ type: 'read', position });
    if (news.type === 'news') take(news.news);
    if (position !== NOWHERE) return;
    // The very first: what one machine had goes in, or nothing. If somebody else is first, theirs counts.
    alone(() => {
      if (position !== NOWHERE) return NOTHING;
      db.exec('COMMIT');
      const image = seed();
      if (image !== null) db.deserialize(withoutWal(image));
      prepareFile(db);
      db.exec('BEGIN IMMEDIATE');
      return { ...NOTHING, isImaged: true };
    });
  }

  try {
    begin();
  } catch (error) {
    log.close();
    db.close();
    throw error;
  }
  return {
    get db() {
      return db;
    },
    prepare,
    write(body) {
      const result = alone(() => {
        const session = db.createSession();
        try {
          const value = body(db);
          return { result: value, changes: session.changeset(), isImaged: false };
        } finally {
          session.close();
        }
      });
      readers.changed();
      return result;
    },
    snapshot: readers.snapshot,
    onChange: readers.onChange,
    // A read of PostgreSQL would hold the event loop up.
    notice: () => undefined,
    watch(_clock, onFailure) {
      polling ??= clock.every(POLL_MS, () => {
        if (isReading) return;
        isReading = true;
        look()
          .catch((error: unknown) => {
            if (!isClosed) onFailure(error);
          })
          .finally(() => (isReading = false));
      });
    },
    close() {
      isClosed = true;
      polling?.cancel();
      readers.forget();
      log.close();
      if (db.isOpen) db.close();
    },
  };
}

/** What a writer did. */
interface Done<T> {
  readonly result: T;
  readonly changes: Uint8Array;
  /** It is to be found in the image. */
  readonly isImaged: boolean;
}

const NOTHING: Done<undefined> = { result: undefined, changes: new Uint8Array(0), isImaged: false };

/** An image of a file in WAL mode says so in two bytes of its header, and memory has no such mode (sqlite.org, `sqlite3_deserialize`). */
function withoutWal(image: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(image);
  copy.fill(1, 18, 20);
  return copy;
}

function areasOf(db: DatabaseSync): Areas {
  const areas: Record<string, number> = {};
  for (const { name, steps } of db.prepare('SELECT name, steps FROM area').all()) areas[String(name)] = Number(steps);
  return areas;
}

const covers = (mine: Areas, theirs: Areas): boolean =>
  Object.entries(theirs).every(([name, steps]) => (mine[name] ?? 0) >= steps);
