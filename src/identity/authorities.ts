/**
 * Which authorities count now, in the control records; their keys and certificates are files (`authority.ts`). Normally one.
 * While it is replaced there are two: the present one, which the gateway's own certificate comes from because every
 * worker trusts it, and the next one, which signs for workers; both are trusted. A worker learns of the next one with its
 * next certificate. At the end the present one is retired and the next takes its place.
 */
import type { DatabaseSync } from 'node:sqlite';
import { appendAudit, prepareAudit, type Act } from './audit.ts';
import type { RecordArea, Records, Snapshot } from './records.ts';

export const AUTHORITIES: RecordArea = {
  name: 'authorities',
  steps: [
    `
    CREATE TABLE authority (
      number  INTEGER PRIMARY KEY,
      state   TEXT    NOT NULL UNIQUE CHECK (state IN ('present', 'next'))
    ) STRICT;
    INSERT INTO authority VALUES (1, 'present');
    `,
    // SHA-256 of its public key; NULL: not seen since this is noted.
    'ALTER TABLE authority ADD COLUMN key TEXT',
  ],
};

export interface AuthorityNumbers {
  readonly present: number;
  readonly next: number | null;
}

export interface Authorities {
  readonly numbers: Snapshot<AuthorityNumbers>;
  /** SHA-256 of the public key that an authority has; null: nobody has opened it yet. */
  keyOf(number: number): string | null;
  /** Whoever opens an authority first notes its key. False: another one is noted, or there is no such authority. */
  noteKey(number: number, key: string): boolean;
  /** From here on `number` signs for workers. False: a replacement is under way already. */
  begin(number: number, act: Act): boolean;
  /** From here on only the next one counts. Returns the number of the retired one; null: there is no next one. */
  finish(act: Act): number | null;
}

export function openAuthorities(records: Records): Authorities {
  prepareAudit(records);
  records.prepare(AUTHORITIES);
  const numbers = records.snapshot(load);
  return {
    numbers,
    keyOf: (number) => keyOf(records.db, number),
    noteKey: (number, key) =>
      records.write((db) => {
        db.prepare('UPDATE authority SET key = ? WHERE number = ? AND key IS NULL').run(key, number);
        return keyOf(db, number) === key;
      }),
    begin: (number, { actor, at }) =>
      records.write((db) => {
        if (load(db).next !== null) return false;
        db.prepare("INSERT INTO authority (number, state) VALUES (?, 'next')").run(number);
        appendAudit(db, { at, actor, action: 'authority.rotate', target: `authority:${number}`, detail: {} });
        return true;
      }),
    finish: ({ actor, at }) =>
      records.write((db) => {
        const { present, next } = load(db);
        if (next === null) return null;
        db.prepare("DELETE FROM authority WHERE state = 'present'").run();
        db.prepare("UPDATE authority SET state = 'present' WHERE number = ?").run(next);
        appendAudit(db, { at, actor, action: 'authority.retire', target: `authority:${present}`, detail: {} });
        return present;
      }),
  };
}

const keyOf = (db: DatabaseSync, number: number): string | null =>
  (db.prepare('SELECT key FROM authority WHERE number = ?').get(number)?.key as string | null | undefined) ?? null;

function load(db: DatabaseSync): AuthorityNumbers {
  const numberOf = (state: string): number | null =>
    (db.prepare('SELECT number FROM authority WHERE state = ?').get(state)?.number as number | undefined) ?? null;
  return { present: numberOf('present') ?? 1, next: numberOf('next') };
}
