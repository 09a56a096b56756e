/**
 * The console's logins: an admin key is shown once, and a cookie stands for it from then on. Owner of the rows of
 * `admin_session` and of their picture in memory.
 *
 * They are in the control records, so that a release or a restart of the gateway logs nobody out, and every gateway on the
 * same records knows them. Only the digest of a cookie is kept. A session ends by logout, after {@link IDLE_MS} without a
 * request, after {@link LIFE_MS} in any case, and in the moment in which its key ends.
 */
import { hash, randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { appendAudit } from './audit.ts';
import type { HeldKey, KeyRing } from './keys/ring.ts';
import type { RecordArea, Records } from './records.ts';

export const LIFE_MS = 12 * 3_600_000;
export const IDLE_MS = 2 * 3_600_000;
/** All gateways together; the oldest give way. More people than this do not run one gateway. */
const MAX_SESSIONS = 1_000;
const TOKEN_BYTES = 32;

export const ADMIN_SESSIONS: RecordArea = {
  name: 'admin_sessions',
  steps: [
    `
    CREATE TABLE admin_session (
      digest       TEXT    PRIMARY KEY,  -- SHA-256 of the cookie, hex
      key_id       TEXT    NOT NULL,
      created_at   INTEGER NOT NULL,     -- epoch ms
      last_seen_at INTEGER NOT NULL      -- to the minute
    ) STRICT;
    `,
  ],
};

/** A login, as its requests see it: it may do what its key may do. */
export class AdminSession {
  readonly digest: string;
  readonly key: HeldKey;
  readonly caller: string;
  readonly admin = true;
  readonly models = null;
  readonly maxUndecidedJobs = null;
  readonly createdAt: number;
  lastSeenAt: number;
  /** Seen since it was last written down. */
  isSeen = false;

  constructor(digest: string, key: HeldKey, createdAt: number, lastSeenAt: number) {
    this.digest = digest;
    this.key = key;
    this.caller = key.caller;
    this.createdAt = createdAt;
    this.lastSeenAt = lastSeenAt;
  }

  /** Epoch ms. */
  get endsAt(): number {
    return Math.min(this.createdAt + LIFE_MS, this.lastSeenAt + IDLE_MS);
  }
}

export interface AdminSessions {
  readonly size: number;
  /** Begins one. The token goes into the cookie and is kept nowhere. */
  open(key: HeldKey, address: string): { readonly session: AdminSession; readonly token: string };
  /** null: there is no such session (any more). */
  check(token: string): AdminSession | null;
  /** What the page has to send beside the cookie with every write: another site cannot know it. */
  proofOf(token: string): string;
  end(session: AdminSession): void;
  /** What the database says now. */
  refresh(): void;
  /** Ends the sessions whose time is over. */
  expire(): void;
  /** Writes down who was seen. */
  noteSeen(): void;
  onEnded(observer: (session: AdminSession) => void): () => void;
}

const digestOf = (token: string): string => hash('sha256', token, 'hex');

export function createAdminSessions(records: Records, keys: KeyRing, clock: Clock): AdminSessions {
  let live = new Map<string, AdminSession>();
  const observers = new Set<(session: AdminSession) => void>();

  const isOver = (session: AdminSession): boolean =>
    session.endsAt <= clock.now() || keys.find(session.caller) !== session.key;

  function replace(next: Map<string, AdminSession>): void {
    const before = live;
    live = next;
    for (const [digest, session] of before) {
      if (!next.has(digest)) for (const observer of observers) observer(session);
    }
  }

  function drop(sessions: readonly AdminSession[], note: string | null): void {
    if (sessions.length === 0) return;
    records.write((db) => {
      const remove = db.prepare('DELETE FROM admin_session WHERE digest = ?');
      for (const { digest, caller } of sessions) {
        const { changes } = remove.run(digest);
        if (changes === 0 || note === null) continue;
        const entry = { at: clock.now(), actor: `key:${caller}`, target: '', detail: { reason: note } };
        appendAudit(db, { ...entry, action: 'login.end' });
      }
    });
  }

  const sessions: AdminSessions = {
    get size() {
      return live.size;
    },
    open(key, address) {
      const token = randomBytes(TOKEN_BYTES).toString('base64url');
      const [digest, at] = [digestOf(token), clock.now()];
      records.write((db) => {
        db.prepare('DELETE FROM admin_session WHERE created_at <= ?').run(at - LIFE_MS);
        db.prepare('INSERT INTO admin_session VALUES (?, ?, ?, ?)').run(digest, key.caller, at, at);
        db.prepare(
          `DELETE FROM admin_session WHERE digest NOT IN
             (SELECT digest FROM admin_session ORDER BY created_at DESC, rowid DESC LIMIT ?)`,
        ).run(MAX_SESSIONS);
        const detail = { name: key.name, address };
        appendAudit(db, { at, actor: `key:${key.caller}`, action: 'login.success', target: '', detail });
      });
      // The write has loaded all of them anew.
      const session = live.get(digest) ?? new AdminSession(digest, key, at, at);
      return { session, token };
    },
    check(token) {
      const session = live.get(digestOf(token));
      if (session === undefined || isOver(session)) return null;
      session.lastSeenAt = clock.now();
      session.isSeen = true;
      return session;
    },
    proofOf: (token) => hash('sha256', `postern admin proof\n${token}`, 'hex').slice(0, 32),
    end: (session) => drop([session], 'logout'),
    refresh() {
      const rows = records.db.prepare('SELECT digest, key_id, created_at, last_seen_at FROM admin_session').all();
      const next = new Map<string, AdminSession>();
      for (const row of rows) {
        const [digest, seenAt] = [row.digest as string, row.last_seen_at as number];
        const key = keys.find(row.key_id as string);
        if (key?.admin !== true) continue;
        const known = live.get(digest);
        const session = known?.key === key ? known : new AdminSession(digest, key, row.created_at as number, seenAt);
        session.lastSeenAt = Math.max(session.lastSeenAt, seenAt);
        if (!isOver(session)) next.set(digest, session);
      }
      replace(next);
    },
    expire() {
      const over = [...live.values()].filter(isOver);
      drop(over, 'its time was over, or its key ended');
    },
    noteSeen() {
      const seen = [...live.values()].filter(({ isSeen }) => isSeen);
      if (seen.length === 0) return;
      records.write((db) => {
        const note = db.prepare('UPDATE admin_session SET last_seen_at = max(last_seen_at, ?) WHERE digest = ?');
        for (const session of seen) {
          session.isSeen = false;
          note.run(session.lastSeenAt, session.digest);
        }
      });
    },
    onEnded(observer) {
      observers.add(observer);
      return () => observers.delete(observer);
    },
  };
  return sessions;
}
