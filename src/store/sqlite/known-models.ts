/** Owner of the table `known_model`. */
import type { DatabaseSync } from 'node:sqlite';
import { MAX_KNOWN_MODELS, type KnownModel } from '../known-models.ts';

export function createKnownModels(db: DatabaseSync, modelTtlMs: number) {
  const upsert = db.prepare(
    `INSERT INTO known_model VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET
       report = excluded.report, versions = excluded.versions, last_seen_at = max(last_seen_at, excluded.last_seen_at)`,
  );
  const forgetOld = db.prepare('DELETE FROM known_model WHERE last_seen_at <= ?');
  const forgetMost = db.prepare(
    `DELETE FROM known_model WHERE name IN
       (SELECT name FROM known_model ORDER BY last_seen_at DESC, name LIMIT -1 OFFSET ${MAX_KNOWN_MODELS})`,
  );
  return {
    remember(models: readonly KnownModel[], nowMs: number): void {
      for (const { name, report, versions, lastSeenAt } of models) {
        upsert.run(name, report, JSON.stringify(versions), lastSeenAt);
      }
      forgetOld.run(nowMs - modelTtlMs);
      forgetMost.run();
    },
  };
}

/** Longest unheard first. */
export function readKnownModels(db: DatabaseSync): () => KnownModel[] {
  const all = db.prepare('SELECT name, report, versions, last_seen_at FROM known_model ORDER BY last_seen_at, name');
  all.setReturnArrays(true);
  return () =>
    (all.all() as unknown as [string, string, string, number][]).map(([name, report, versions, lastSeenAt]) => {
      return { name, report, versions: JSON.parse(versions) as string[], lastSeenAt };
    });
}
