/** Every worker that this installation knows of, as one list for people: those on record, and those that are only invited. */
import { certificateOf } from './workers.ts';
import type { Allowance, Workers } from './workers.ts';

/** `revoked` and `locked` ones are shut out; `invited` ones have not joined yet. */
export type WorkerStanding = 'invited' | 'joined' | 'revoked' | 'locked';

export interface ListedWorker {
  readonly name: string;
  readonly standing: WorkerStanding;
  /** What it may run, or would once it has joined. */
  readonly models: Allowance;
  readonly createdAt: number | null;
  /** Until when its open invitation can be used. One that has joined can have one too: it is to be replaced. */
  readonly invitedUntil: number | null;
  /** Number and end of its newest certificate; null: it has none from here. */
  readonly generation: number | null;
  readonly certificateEndsAt: number | null;
  /** Renewals with a certificate that had already ended. */
  readonly lateRenewals: number;
  readonly lastSeenAt: number | null;
  readonly revokedAt: number | null;
  readonly lockedAt: number | null;
  readonly lockReason: string | null;
}

/** By name. */
export function listWorkers(workers: Workers, now: number): ListedWorker[] {
  const book = workers.book.value;
  const invitations = new Map(workers.openInvitations(now).map((one) => [one.worker, one]));
  const listed = [...book.workers.values()].map((worker): ListedWorker => {
    const { name, models, createdAt, generation, lateRenewals, lastSeenAt, revokedAt, lockedAt, lockReason } = worker;
    return {
      name,
      standing: revokedAt !== null ? 'revoked' : lockedAt !== null ? 'locked' : 'joined',
      models,
      createdAt,
      invitedUntil: invitations.get(name)?.expiresAt ?? null,
      generation: generation === 0 ? null : generation,
      certificateEndsAt: certificateOf(book, name, generation)?.endsAt ?? null,
      lateRenewals,
      lastSeenAt,
      revokedAt,
      lockedAt,
      lockReason,
    };
  });
  for (const { worker: name, models, expiresAt } of invitations.values()) {
    if (!book.workers.has(name)) listed.push({ ...NOBODY_YET, name, models, invitedUntil: expiresAt });
  }
  return listed.sort((a, b) => (a.name < b.name ? -1 : 1));
}

const NOBODY_YET = {
  standing: 'invited',
  createdAt: null,
  generation: null,
  certificateEndsAt: null,
  lateRenewals: 0,
  lastSeenAt: null,
  revokedAt: null,
  lockedAt: null,
  lockReason: null,
} as const;

/** As JSON has it, over HTTP and on the command line. */
export interface WorkerEntry {
  readonly name: string;
  readonly standing: WorkerStanding;
  /** null: all. */
  readonly models: readonly string[] | null;
  readonly created_at: string | null;
  readonly invited_until: string | null;
  readonly generation: number | null;
  readonly certificate_ends_at: string | null;
  readonly late_renewals: number;
  readonly last_seen_at: string | null;
  readonly revoked_at: string | null;
  readonly locked_at: string | null;
  readonly lock_reason: string | null;
}

export function workerEntry(worker: ListedWorker): WorkerEntry {
  return {
    name: worker.name,
    standing: worker.standing,
    models: worker.models === null ? null : [...worker.models],
    created_at: moment(worker.createdAt),
    invited_until: moment(worker.invitedUntil),
    generation: worker.generation,
    certificate_ends_at: moment(worker.certificateEndsAt),
    late_renewals: worker.lateRenewals,
    last_seen_at: moment(worker.lastSeenAt),
    revoked_at: moment(worker.revokedAt),
    locked_at: moment(worker.lockedAt),
    lock_reason: worker.lockReason,
  };
}

const moment = (epochMs: number | null): string | null => (epochMs === null ? null : new Date(epochMs).toISOString());
