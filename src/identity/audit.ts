/**
 * The audit log: every administrative act, in the control records, written in the transaction of the act itself, so that
 * neither exists without the other. Entries are only ever added; triggers refuse anything else from this program.
 *
 * Somebody with the file can go around triggers. So each entry carries the hash of the one before it, and whoever keeps the
 * newest hash elsewhere (`postern audit head`) can tell later that nothing up to there was changed, left out or cut off.
 */
import { hash } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import type { RecordArea, Records } from './records.ts';

const AUDIT: RecordArea = {
  name: 'audit',
  steps: [
    `
    CREATE TABLE audit (
      seq    INTEGER PRIMARY KEY AUTOINCREMENT, -- from 1, without gaps
      at     INTEGER NOT NULL,                  -- epoch ms
      actor  TEXT    NOT NULL,
      action TEXT    NOT NULL,
      target TEXT    NOT NULL,
      detail TEXT    NOT NULL,                  -- JSON
      hash   TEXT    NOT NULL                   -- of this entry and the hash of the one before, hex
    ) STRICT;
    CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit
      BEGIN SELECT RAISE(ABORT, 'the audit log is only ever added to'); END;
    CREATE TRIGGER audit_kept BEFORE DELETE ON audit
      BEGIN SELECT RAISE(ABORT, 'the audit log is only ever added to'); END;
    `,
  ],
};

/** What was done. A new one needs no migration; it is never renamed. */
export type AuditAction =
  | 'gateway.start'
  | 'gateway.stop'
  | 'authority.create'
  | 'authority.rotate'
  | 'authority.retire'
  | 'worker.invite'
  | 'worker.allow'
  | 'worker.join'
  | 'worker.renew'
  | 'worker.revoke'
  | 'worker.lock'
  | 'worker.refuse'
  | 'key.create'
  | 'key.revoke'
  | 'job.cancel'
  | 'job.retry'
  | 'model.deploy'
  | 'model.rollback'
  | 'model.revert'
  | 'webhooks.rotate'
  | 'login.success'
  | 'login.failure'
  | 'login.end';

export interface AuditEntry {
  /** Epoch ms. */
  readonly at: number;
  /** Who: `cli:<user>`, `key:<id>`, `worker:<name>`, `gateway`, or `anonymous` with the address in the detail. */
  readonly actor: string;
  readonly action: AuditAction;
  /** What it was done to: `key:<id>`, `worker:<name>`, …; '' when the action says it all. */
  readonly target: string;
  /** Never a secret, and never anything of unbounded length. */
  readonly detail: Readonly<Record<string, string | number | boolean | null | readonly string[]>>;
}

/** Who does something, and when. */
export type Act = Pick<AuditEntry, 'actor' | 'at'>;

export interface StoredAuditEntry extends Omit<AuditEntry, 'action'> {
  readonly seq: number;
  readonly action: string;
  readonly hash: string;
}

/** The newest entry, as one text that can be kept elsewhere: `<seq>:<hash>`. */
export interface AuditHead {
  readonly seq: number;
  readonly hash: string;
}

/** What the first entry has in place of the hash of the one before. */
const ORIGIN = '0'.repeat(64);
const EMPTY: AuditHead = { seq: 0, hash: ORIGIN };
/** Longer texts come from outside, and an entry must stay small. */
const MAX_TEXT_CHARS = 200;
const MAX_DETAIL_CHARS = 4_096;

/** Makes the table. Twice is fine. */
export function prepareAudit(records: Records): void {
  records.prepare(AUDIT);
}

/** Adds one entry. To be called inside `Records.write`, beside what the entry is about. */
export function appendAudit(db: DatabaseSync, { at, actor, action, target, detail }: AuditEntry): void {
  const before = auditHead(db);
  const seq = before.seq + 1;
  const text = JSON.stringify(detail, (_name, value: unknown) => (typeof value === 'string' ? cut(value) : value));
  const kept = text.length <= MAX_DETAIL_CHARS ? text : '{"left_out":"too long"}';
  const row = [seq, at, cut(actor), action, cut(target), kept] as const;
  db.prepare('INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)').run(...row, hashOf(row, before.hash));
}

export function auditHead(db: DatabaseSync): AuditHead {
  const row = db.prepare('SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1').get();
  return row === undefined ? EMPTY : { seq: row.seq as number, hash: row.hash as string };
}

/** Newest first. */
export function listAudit(
  db: DatabaseSync,
  { limit, beforeSeq }: { readonly limit: number; readonly beforeSeq: number | null },
): StoredAuditEntry[] {
  const rows = db
    .prepare('SELECT seq, at, actor, action, target, detail, hash FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?')
    .all(beforeSeq ?? Number.MAX_SAFE_INTEGER, limit) as unknown as (Omit<StoredAuditEntry, 'detail'> & {
    detail: string;
  })[];
  return rows.map((row) => ({ ...row, detail: JSON.parse(row.detail) as AuditEntry['detail'] }));
}

export type AuditVerdict =
  | { readonly isIntact: true; readonly head: AuditHead }
  /** `seq`: the first entry that is not as it was written. */
  | { readonly isIntact: false; readonly seq: number; readonly problem: string };

/** Reads all of it and calculates every hash anew. `known`: a head that was kept elsewhere, which must still be part of it. */
export function verifyAudit(db: DatabaseSync, known: AuditHead | null): AuditVerdict {
  let before: AuditHead = EMPTY;
  let sawKnown = known === null || known.seq === 0;
  const rows = db.prepare('SELECT seq, at, actor, action, target, detail, hash FROM audit ORDER BY seq');
  rows.setReturnArrays(true);
  for (const row of rows.iterate() as unknown as Iterable<[...HashedRow, string]>) {
    const [seq, at, actor, action, target, detail, stored] = row;
    if (seq !== before.seq + 1) {
      return { isIntact: false, seq: before.seq + 1, problem: `entry ${before.seq + 1} is missing` };
    }
    if (hashOf([seq, at, actor, action, target, detail], before.hash) !== stored) {
      return { isIntact: false, seq, problem: `entry ${seq} is not as it was written, or one before it was replaced` };
    }
    if (seq === known?.seq) {
      if (stored !== known.hash) {
        return {
          isIntact: false,
          seq,
          problem: `entry ${seq} is not the one that was noted: the log was written anew`,
        };
      }
      sawKnown = true;
    }
    before = { seq, hash: stored };
  }
  const last = db.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'audit'").get()?.seq as number | undefined;
  if (!sawKnown || (last !== undefined && last > before.seq)) {
    const upTo = Math.max(known?.seq ?? 0, last ?? 0);
    return { isIntact: false, seq: before.seq + 1, problem: `entries ${before.seq + 1} to ${upTo} were cut off` };
  }
  return { isIntact: true, head: before };
}

export const formatHead = ({ seq, hash: text }: AuditHead): string => `${seq}:${text}`;

/** null: that is no head. */
export function parseHead(text: string): AuditHead | null {
  const match = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text.trim());
  return match === null ? null : { seq: Number(match[1]), hash: match[2] ?? '' };
}

type HashedRow = readonly [seq: number, at: number, actor: string, action: string, target: string, detail: string];

function hashOf(row: HashedRow, before: string): string {
  return hash('sha256', JSON.stringify([...row, before]), 'hex');
}

function cut(text: string): string {
  return text.length <= MAX_TEXT_CHARS ? text : `${text.slice(0, MAX_TEXT_CHARS - 1)}…`;
}
