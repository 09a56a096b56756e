/** The rollouts in the control records. What is decided is written together with its entry in the audit log. */
import type { DatabaseSync } from 'node:sqlite';
import { PosternError } from '../../errors.ts';
import { appendAudit, prepareAudit } from '../../identity/audit.ts';
import type { RecordArea, Records } from '../../identity/records.ts';
import { MAX_ROLLOUTS, type RolloutBook } from './book.ts';
import type { Rollout } from './rollout.ts';

const ROLLOUTS: RecordArea = {
  name: 'rollouts',
  steps: [
    `
    CREATE TABLE rollout (
      model          TEXT    PRIMARY KEY,
      revision       INTEGER NOT NULL,
      version        TEXT    NOT NULL,
      weight         INTEGER NOT NULL CHECK (weight BETWEEN 0 AND 100),
      previous       TEXT,
      allow_downtime INTEGER NOT NULL,
      soak_until     INTEGER,               -- times are epoch ms; NULL: not ready anywhere yet
      failure        TEXT,                  -- JSON
      seen_version   TEXT,
      changed_at     INTEGER NOT NULL,
      changed_by     TEXT    NOT NULL
    ) STRICT, WITHOUT ROWID;
    `,
  ],
};

export function openRolloutBook(records: Records): RolloutBook {
  prepareAudit(records);
  records.prepare(ROLLOUTS);
  const snapshot = records.snapshot((db) => new Map(load(db).map((one) => [one.model, one])));

  return {
    get: (model) => snapshot.value.get(model) ?? null,
    all: () => [...snapshot.value.values()],
    put: (rollout, before, action) =>
      records.write((db) => {
        const there = db.prepare('SELECT revision FROM rollout WHERE model = ?').get(rollout.model)?.revision;
        if ((there ?? 0) !== before) return false;
        if (there === undefined && (db.prepare('SELECT count(*) AS n FROM rollout').get()?.n as number) >= MAX_ROLLOUTS)
          throw new PosternError('rollout_refused', `${MAX_ROLLOUTS} models have been deployed, which is the limit`);
        save(db, rollout);
        if (action === null) return true;
        const { model, version, weight, previous, allowDowntime, failure, changedAt: at, changedBy: actor } = rollout;
        const detail = {
          version,
          weight,
          previous,
          ...(allowDowntime ? { allow_downtime: true } : {}),
          ...(failure === null ? {} : { failed: failure.version, reason: failure.reason }),
        };
        appendAudit(db, { at, actor, action, target: `model:${model}`, detail });
        return true;
      }),
    onChange: (observer) => records.onChange(observer),
  };
}

function save(db: DatabaseSync, rollout: Rollout): void {
  db.prepare('INSERT OR REPLACE INTO rollout VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)').run(
    rollout.model,
    rollout.revision,
    rollout.version,
    rollout.weight,
    rollout.previous,
    rollout.allowDowntime ? 1 : 0,
    rollout.soakUntil,
    rollout.failure === null ? null : JSON.stringify(rollout.failure),
    rollout.seenVersion,
    rollout.changedAt,
    rollout.changedBy,
  );
}

function load(db: DatabaseSync): Rollout[] {
  return db
    .prepare('SELECT * FROM rollout ORDER BY model')
    .all()
    .map((row) => ({
      model: row.model as string,
      revision: row.revision as number,
      version: row.version as string,
      weight: row.weight as number,
      previous: row.previous as string | null,
      allowDowntime: row.allow_downtime === 1,
      soakUntil: row.soak_until as number | null,
      failure: row.failure === null ? null : (JSON.parse(row.failure as string) as Rollout['failure']),
      seenVersion: row.seen_version as string | null,
      changedAt: row.changed_at as number,
      changedBy: row.changed_by as string,
    }));
}
