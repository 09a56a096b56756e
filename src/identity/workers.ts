/**
 * The workers of this installation, in the control records: who was invited for which models, which certificates were
 * made, what was taken back. Owner of these tables. Rules about them are in `access.ts` (who gets in) and `enrolment.ts`
 * (who gets a certificate).
 *
 * A worker's certificates are numbered: the generation. The newest is the one that it should use; the one before it
 * still counts until the newest was seen, because the answer that carried it may have been lost.
 */
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { appendAudit, prepareAudit, type Act } from './audit.ts';
import type { RecordArea, Records, Snapshot } from './records.ts';

export const WORKERS: RecordArea = {
  name: 'workers',
  steps: [
    `
    CREATE TABLE worker (
      name            TEXT    PRIMARY KEY,
      models          TEXT,                        -- JSON array of names; NULL: all
      created_at      INTEGER NOT NULL,            -- times are epoch ms
      generation      INTEGER NOT NULL DEFAULT 0,  -- of the newest certificate; 0: none was made here
      replaced_below  INTEGER NOT NULL DEFAULT 0,  -- lower generations belong to a machine that was replaced
      late_renewals   INTEGER NOT NULL DEFAULT 0,  -- with a certificate that had already ended
      revoked_at      INTEGER,
      locked_at       INTEGER,
      lock_reason     TEXT,
      last_seen_at    INTEGER
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE certificate (
      fingerprint  TEXT    PRIMARY KEY,            -- SHA-256 of the DER
      worker       TEXT    NOT NULL REFERENCES worker (name) ON DELETE CASCADE,
      generation   INTEGER NOT NULL,
      authority    INTEGER NOT NULL,               -- number of the authority that signed it
      key          TEXT    NOT NULL,               -- SHA-256 of the public key
      pem          TEXT    NOT NULL,
      starts_at    INTEGER NOT NULL,
      ends_at      INTEGER NOT NULL,
      seen_at      INTEGER,                        -- first use
      UNIQUE (worker, generation)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE invitation (
      id          TEXT    PRIMARY KEY,
      digest      TEXT    NOT NULL,                -- SHA-256 of the secret
      worker      TEXT    NOT NULL,
      models      TEXT,
      created_at  INTEGER NOT NULL,
      expires_at  INTEGER NOT NULL,
      used_at     INTEGER,
      used_key    TEXT                             -- SHA-256 of the public key that it was used for
    ) STRICT, WITHOUT ROWID;
    `,
  ],
};

/** Names of models; null: all that there are. */
export type Allowance = ReadonlySet<string> | null;

export interface WorkerRecord {
  readonly name: string;
  readonly models: Allowance;
  readonly createdAt: number;
  readonly generation: number;
  readonly replacedBelow: number;
  readonly lateRenewals: number;
  readonly revokedAt: number | null;
  readonly lockedAt: number | null;
  readonly lockReason: string | null;
  readonly lastSeenAt: number | null;
}

export interface CertificateRecord {
  readonly fingerprint: string;
  readonly worker: string;
  readonly generation: number;
  readonly authority: number;
  readonly key: string;
  readonly startsAt: number;
  readonly endsAt: number;
  readonly seenAt: number | null;
}

export interface Invitation {
  readonly id: string;
  readonly digest: string;
  readonly worker: string;
  readonly models: Allowance;
  readonly expiresAt: number;
  readonly usedAt: number | null;
  readonly usedKey: string | null;
}

export type NewCertificate = Omit<CertificateRecord, 'seenAt'> & { readonly pem: string };

/** Everything that is asked on the way of a connection or a job. */
export interface WorkerBook {
  readonly workers: ReadonlyMap<string, WorkerRecord>;
  /** By fingerprint. */
  readonly certificates: ReadonlyMap<string, CertificateRecord>;
}

/** The certificate of a worker with this number; null: it has been forgotten, or was never made. */
export function certificateOf(book: WorkerBook, worker: string, generation: number): CertificateRecord | null {
  for (const one of book.certificates.values()) if (one.worker === worker && one.generation === generation) return one;
  return null;
}

/** A worker's older certificates are forgotten; nobody gets in with what is not on record. */
const KEPT_GENERATIONS = 3;
/** Used and expired invitations are kept for so long, to say which of the two they were. */
const KEPT_INVITATION_MS = 86_400_000;

export type Workers = ReturnType<typeof openWorkers>;

export function openWorkers(records: Records) {
  prepareAudit(records);
  records.prepare(WORKERS);
  const book: Snapshot<WorkerBook> = records.snapshot(loadBook);

  return {
    book,
    onChange: (observer: () => void) => records.onChange(observer),

    /** A new invitation for a name takes the older ones back. */
    invite(invitation: Omit<Invitation, 'usedAt' | 'usedKey'>, { actor, at }: Act): void {
      const { id, digest, worker, models, expiresAt } = invitation;
      records.write((db) => {
        db.prepare('DELETE FROM invitation WHERE expires_at < ? OR (worker = ? AND used_at IS NULL)').run(
          at - KEPT_INVITATION_MS,
          worker,
        );
        db.prepare(
          'INSERT INTO invitation (id, digest, worker, models, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)',
        ).run(id, digest, worker, modelsText(models), at, expiresAt);
        const detail = { models: modelsDetail(models), expires_at: expiresAt };
        appendAudit(db, { at, actor, action: 'worker.invite', target: targetOf(worker), detail });
      });
    },

    invitation(id: string): Invitation | null {
      const row = records.db.prepare('SELECT * FROM invitation WHERE id = ?').get(id);
      return row === undefined ? null : readInvitation(row);
    },

    /** Invitations that can still be used. */
    openInvitations: (now: number): Invitation[] =>
      records.db
        .prepare('SELECT * FROM invitation WHERE used_at IS NULL AND expires_at > ? ORDER BY expires_at')
        .all(now)
        .map(readInvitation),

    /** The worker of an invitation that is used now, with its first certificate. False: another request was faster. */
    redeem(invitation: Invitation, certificate: NewCertificate, { actor, at }: Act, address: string): boolean {
      const { worker, models } = invitation;
      return records.write((db) => {
        const used = db
          .prepare('UPDATE invitation SET used_at = ?, used_key = ? WHERE id = ? AND used_at IS NULL')
          .run(at, certificate.key, invitation.id);
        if (used.changes !== 1 || !startWith(db, certificate, models, at)) return false;
        const detail = { address, models: modelsDetail(models), generation: certificate.generation };
        appendAudit(db, { at, actor, action: 'worker.join', target: targetOf(worker), detail });
        return true;
      });
    },

    /** A worker of this very machine, with a certificate that was made here: replaces whatever the name had. */
    adopt(certificate: NewCertificate, models: Allowance, now: number): boolean {
      return records.write((db) => startWith(db, certificate, models, now));
    },

    /** Changes which models a worker may run; makes one that has its certificate from another authority. */
    allow(name: string, models: Allowance, { actor, at }: Act): void {
      records.write((db) => {
        putWorker(db, name, models, at);
        const detail = { models: modelsDetail(models) };
        appendAudit(db, { at, actor, action: 'worker.allow', target: targetOf(name), detail });
      });
    },

    /** The next certificate of a worker. False: its generation is taken, another renewal was faster. */
    renew(certificate: NewCertificate, late: boolean, at: number): boolean {
      const { worker, generation } = certificate;
      return records.write((db) => {
        if (generationOf(db, worker) !== generation - 1) return false;
        putCertificate(db, certificate);
        if (late) db.prepare('UPDATE worker SET late_renewals = late_renewals + 1 WHERE name = ?').run(worker);
        const target = targetOf(worker);
        appendAudit(db, { at, actor: target, action: 'worker.renew', target, detail: { generation, late } });
        return true;
      });
    },

    pemOf: (fingerprint: string): string | null =>
      (records.db.prepare('SELECT pem FROM certificate WHERE fingerprint = ?').get(fingerprint)?.pem as
        string | undefined) ?? null,

    /** The first use of a certificate: from here on the one before it counts no more. */
    seen(fingerprint: string, now: number): void {
      records.write((db) =>
        db
          .prepare('UPDATE certificate SET seen_at = ? WHERE fingerprint = ? AND seen_at IS NULL')
          .run(now, fingerprint),
      );
    },

    /** When workers were last heard, for the time in which they are away. */
    heard(names: readonly string[], now: number): void {
      records.write((db) => {
        const put = db.prepare('UPDATE worker SET last_seen_at = ? WHERE name = ?');
        for (const name of names) put.run(now, name);
      });
    },

    lock(name: string, reason: string, at: number): void {
      records.write((db) => {
        const locked = db
          .prepare('UPDATE worker SET locked_at = ?, lock_reason = ? WHERE name = ? AND locked_at IS NULL')
          .run(at, reason, name);
        if (locked.changes === 0) return;
        const target = targetOf(name);
        appendAudit(db, { at, actor: target, action: 'worker.lock', target, detail: { reason } });
      });
    },

    /** Also takes back what was invited and has not joined. False: there is nobody of this name. */
    revoke(name: string, { actor, at }: Act): boolean {
      return records.write((db) => {
        const invited = db.prepare('DELETE FROM invitation WHERE worker = ? AND used_at IS NULL').run(name);
        const known = db.prepare('UPDATE worker SET revoked_at = coalesce(revoked_at, ?) WHERE name = ?').run(at, name);
        if (Number(known.changes) + Number(invited.changes) === 0) return false;
        const detail = { was_worker: known.changes === 1 };
        appendAudit(db, { at, actor, action: 'worker.revoke', target: targetOf(name), detail });
        return true;
      });
    },
  };
}

const targetOf = (name: string): string => `worker:${name}`;
const modelsDetail = (models: Allowance): readonly string[] | null => (models === null ? null : [...models]);

type Row = Record<string, SQLOutputValue>;

function loadBook(db: DatabaseSync): WorkerBook {
  const workers = db.prepare('SELECT * FROM worker ORDER BY name').all().map(readWorker);
  const certificates = db
    .prepare(
      'SELECT fingerprint, worker, generation, authority, key, starts_at, ends_at, seen_at FROM certificate ORDER BY generation',
    )
    .all()
    .map(readCertificate);
  return {
    workers: new Map(workers.map((worker) => [worker.name, worker])),
    certificates: new Map(certificates.map((certificate) => [certificate.fingerprint, certificate])),
  };
}

/** Begins a worker anew: what an earlier one of the name had counts no more, and neither does what was taken back. */
function startWith(db: DatabaseSync, certificate: NewCertificate, models: Allowance, now: number): boolean {
  const { worker, generation } = certificate;
  if (generationOf(db, worker) !== generation - 1) return false;
  putWorker(db, worker, models, now);
  db.prepare(
    'UPDATE worker SET revoked_at = NULL, locked_at = NULL, lock_reason = NULL, replaced_below = ? WHERE name = ?',
  ).run(generation, worker);
  putCertificate(db, certificate);
  return true;
}

function putWorker(db: DatabaseSync, name: string, models: Allowance, now: number): void {
  db.prepare(
    'INSERT INTO worker (name, models, created_at) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET models = excluded.models',
  ).run(name, modelsText(models), now);
}

function putCertificate(db: DatabaseSync, one: NewCertificate): void {
  db.prepare(
    'INSERT INTO certificate (fingerprint, worker, generation, authority, key, pem, starts_at, ends_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
  ).run(one.fingerprint, one.worker, one.generation, one.authority, one.key, one.pem, one.startsAt, one.endsAt);
  db.prepare('UPDATE worker SET generation = ? WHERE name = ?').run(one.generation, one.worker);
  db.prepare('DELETE FROM certificate WHERE worker = ? AND generation <= ?').run(
    one.worker,
    one.generation - KEPT_GENERATIONS,
  );
}

const generationOf = (db: DatabaseSync, name: string): number =>
  (db.prepare('SELECT generation FROM worker WHERE name = ?').get(name)?.generation as number | undefined) ?? 0;

const modelsText = (models: Allowance): string | null => (models === null ? null : JSON.stringify([...models].sort()));

const readModels = (text: SQLOutputValue | undefined): Allowance =>
  typeof text === 'string' ? new Set(JSON.parse(text) as string[]) : null;

function readWorker(row: Row): WorkerRecord {
  return {
    name: row.name as string,
    models: readModels(row.models),
    createdAt: row.created_at as number,
    generation: row.generation as number,
    replacedBelow: row.replaced_below as number,
    lateRenewals: row.late_renewals as number,
    revokedAt: row.revoked_at as number | null,
    lockedAt: row.locked_at as number | null,
    lockReason: row.lock_reason as string | null,
    lastSeenAt: row.last_seen_at as number | null,
  };
}

function readCertificate(row: Row): CertificateRecord {
  return {
    fingerprint: row.fingerprint as string,
    worker: row.worker as string,
    generation: row.generation as number,
    authority: row.authority as number,
    key: row.key as string,
    startsAt: row.starts_at as number,
    endsAt: row.ends_at as number,
    seenAt: row.seen_at as number | null,
  };
}

function readInvitation(row: Row): Invitation {
  return {
    id: row.id as string,
    digest: row.digest as string,
    worker: row.worker as string,
    models: readModels(row.models),
    expiresAt: row.expires_at as number,
    usedAt: row.used_at as number | null,
    usedKey: row.used_key as string | null,
  };
}
