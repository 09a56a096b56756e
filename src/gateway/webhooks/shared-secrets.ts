/**
 * The keys that webhooks are signed with, for several gateways: in the control records that they share, so that a rotation at any machine counts
 * at all of them. Whoever reads the database cannot sign: each master key is sealed with the key of the authority (`identity/seal.ts`), once
 * for each authority that is trusted, so that an authority that is being replaced takes nothing along.
 *
 * The first gateway brings the keys that its own machine had.
 */
import { randomBytes } from 'node:crypto';
import { appendAudit, prepareAudit } from '../../identity/audit.ts';
import type { Authority } from '../../identity/authority.ts';
import type { RecordArea, Records } from '../../identity/records.ts';
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { callerKey, newMaster, OVERLAP_MS, type MasterKey, type WebhookSecrets } from './secrets.ts';
import { secretText } from './signature.ts';

const AREA: RecordArea = {
  name: 'webhooks',
  steps: [
    `CREATE TABLE webhook_key (
       id        TEXT    NOT NULL,
       authority INTEGER NOT NULL,  -- with whose key it is sealed
       sealed    BLOB    NOT NULL,
       ends_at   INTEGER,           -- NULL: the newest
       PRIMARY KEY (id, authority)
     ) STRICT, WITHOUT ROWID`,
  ],
};

export interface SharedSecretsOptions {
  readonly records: Records;
  /** Those that are trusted now, the present one first. */
  readonly authorities: () => readonly Authority[];
  /** What this machine had, the newest first; null: nothing. Asked when the records have none. */
  readonly seed: () => Promise<readonly MasterKey[] | null>;
  readonly clock: Clock;
}

interface Row {
  readonly id: string;
  readonly authority: number;
  readonly sealed: Uint8Array;
  readonly endsAt: number | null;
}

interface Master extends MasterKey {
  readonly id: string;
}

const nameOf = (id: string): string => `webhook key ${id}`;

export function createSharedWebhookSecrets({
  records,
  authorities,
  seed,
  clock,
}: SharedSecretsOptions): WebhookSecrets {
  prepareAudit(records);
  records.prepare(AREA);
  const rows = records.snapshot(load);
  /** A key that was opened once goes on to count here, also when the authority that it was sealed for is gone. */
  const opened = new Map<string, Uint8Array>();

  /** Those that can be opened here, the newest first. */
  function masters(from: readonly Row[]): Master[] {
    const found = new Map<string, Master>();
    for (const { id, authority, sealed, endsAt } of from) {
      const by = authorities().find(({ number }) => number === authority);
      const key = opened.get(id) ?? by?.seal.open(nameOf(id), sealed) ?? null;
      if (key === null) continue;
      opened.set(id, key);
      found.set(id, { id, key, endsAt });
    }
    const ids = new Set(from.map(({ id }) => id));
    for (const id of opened.keys()) if (!ids.has(id)) opened.delete(id);
    return [...found.values()].sort((a, b) => (b.endsAt ?? Infinity) - (a.endsAt ?? Infinity));
  }

  /** To be called inside `write`. */
  function put(db: Records['db'], { id, key, endsAt }: Master): void {
    const add = db.prepare('INSERT INTO webhook_key VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING');
    for (const { number, seal } of authorities()) add.run(id, number, seal.close(nameOf(id), key), endsAt);
  }

  function valid(): Master[] {
    const now = clock.now();
    const found = masters(rows.value).filter(({ endsAt }) => endsAt === null || endsAt > now);
    if (found.length > 0) return found;
    throw new PosternError(
      'config_invalid',
      'the keys of webhooks in the control records were sealed with the key of an authority that is not here: copy ca.key and ca.pem (during a replacement the new ones too) from a gateway that has them',
    );
  }

  /** Is each key that is known here sealed for each authority, and none for one that is gone? */
  function isComplete(): boolean {
    const trusted = authorities().map(({ number }) => number);
    const has = new Set(rows.value.map(({ id, authority }) => `${id} ${authority}`));
    const isSealed = masters(rows.value).every(({ id }) => trusted.every((number) => has.has(`${id} ${number}`)));
    return isSealed && rows.value.every(({ authority }) => authority >= (trusted[0] ?? 0));
  }

  async function open(): Promise<void> {
    const had = rows.value.length === 0 ? await seed() : null;
    if (rows.value.length === 0 || !isComplete())
      records.write((db) => {
        const present = load(db);
        const keys =
          present.length > 0 ? masters(present) : (had ?? [newMaster()]).map((one) => ({ ...one, id: newId() }));
        for (const key of keys) put(db, key);
        // A retired authority's are of no use to anybody; one that this gateway has not heard of yet has a larger number.
        db.prepare('DELETE FROM webhook_key WHERE authority < ?').run(authorities()[0]?.number ?? 0);
      });
    valid();
  }

  return {
    open,
    keysOf: (caller) => Promise.resolve().then(() => valid().map(({ key }) => callerKey(key, caller))),
    secretOf: (caller) => Promise.resolve().then(() => secretText(callerKey(valid()[0]!.key, caller))),
    async rotate({ actor, at }) {
      await open();
      records.write((db) => {
        const endsAt = clock.now() + OVERLAP_MS;
        db.prepare('DELETE FROM webhook_key WHERE ends_at IS NOT NULL').run();
        db.prepare('UPDATE webhook_key SET ends_at = ?').run(endsAt);
        put(db, { ...newMaster(), id: newId() });
        appendAudit(db, { actor, at, action: 'webhooks.rotate', target: '', detail: {} });
      });
    },
  };
}

const newId = (): string => randomBytes(8).toString('hex');

function load(db: Records['db']): readonly Row[] {
  return db
    .prepare('SELECT id, authority, sealed, ends_at FROM webhook_key')
    .all()
    .map((row) => ({
      id: row.id as string,
      authority: row.authority as number,
      sealed: row.sealed as Uint8Array,
      endsAt: row.ends_at as number | null,
    }));
}
