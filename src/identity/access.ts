/**
 * Who gets in, and what for. Asked at every handshake with the certificate that TLS has verified, of every live session
 * after each change of the records, and for every model before work is sent. Answers come from memory.
 *
 * A certificate of this installation counts when it is on record, its worker is neither revoked nor locked, and it is the
 * newest of that worker, or the one before as long as the newest was never seen. An older one that is still used means
 * that two machines hold the worker's key, or held it: nobody can tell the right one, so both are locked out.
 */
import type { X509Certificate } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import type { Authorities } from './authorities.ts';
import { readWorkerCertificate } from './peer.ts';
import type { NameRule, WorkerIdentity } from './peer.ts';
import { certificateOf } from './workers.ts';
import type { WorkerRecord, Workers } from './workers.ts';

export interface WorkerAccess {
  /** The worker of a verified certificate. Throws handshake_refused, worker_revoked, worker_locked. */
  admit(certificate: X509Certificate): WorkerIdentity;
  /** Why a session that was admitted must end now, or null. */
  check(worker: WorkerIdentity): PosternError | null;
  /** May this worker be sent work for the model? */
  allows(worker: string, model: string): boolean;
  /** Was this worker revoked or locked? */
  isOut(worker: string): boolean;
  /** Live sessions were heard; kept for when they are away. */
  heard(names: readonly string[]): void;
  /** Somebody was invited, revoked, …: ask again. Returns how to end that. */
  onChange(observer: () => void): () => void;
}

export interface AccessOptions {
  readonly workers: Workers;
  readonly authorities: Authorities;
  readonly rule: NameRule;
  readonly clock: Clock;
}

/**
 * After the newest certificate was seen first, the one before it is only refused for so long: a dial that began with it may
 * still be on its way. A worker's dial and hello take 15 s at most.
 */
const CHANGEOVER_MS = 60_000;

export function createAccess({ workers, authorities, rule, clock }: AccessOptions): WorkerAccess {
  const { book } = workers;

  function admitOwn(worker: WorkerRecord, identity: WorkerIdentity): void {
    const shown = book.value.certificates.get(identity.fingerprint);
    if (shown?.worker !== worker.name) {
      throw refused('it is not on record here: invite the worker again');
    }
    if (shown.generation < worker.replacedBelow) throw refused('another machine has joined under this name since');
    const now = clock.now();
    if (shown.generation < worker.generation) judgeOlder(worker, shown.generation, now);
    else if (shown.seenAt === null) workers.seen(identity.fingerprint, now);
  }

  function judgeOlder(worker: WorkerRecord, generation: number, now: number): void {
    const next = certificateOf(book.value, worker.name, generation + 1);
    if (next?.generation === worker.generation && next.seenAt === null) return;
    if (next?.generation === worker.generation && now - (next.seenAt ?? 0) < CHANGEOVER_MS) {
      throw refused('a newer one of this worker is in use');
    }
    throw lockWorker(
      workers,
      worker.name,
      `its certificate ${generation} was used, and ${worker.generation} is in use`,
      now,
    );
  }

  return {
    admit(certificate) {
      const identity = readWorkerCertificate(certificate, clock.now(), rule);
      const worker = standing(workers, identity.name);
      if (rule === 'own') admitOwn(worker, identity);
      return identity;
    },
    check(identity) {
      try {
        const worker = standing(workers, identity.name);
        if (identity.certificateEndsAt <= clock.now()) return refused('it has ended and was not renewed');
        if (rule !== 'own') return null;
        const held = book.value.certificates.get(identity.fingerprint);
        // Pruned after several renewals in one session: it was newer than all that replaced it.
        if (held === undefined) return null;
        if (held.generation < worker.replacedBelow) return refused('another machine has joined under this name');
        const { present, next } = authorities.numbers.value;
        if (held.authority !== present && held.authority !== next) return refused('its authority was retired');
        return null;
      } catch (error) {
        return error as PosternError;
      }
    },
    allows(name, model) {
      const worker = book.value.workers.get(name);
      return worker !== undefined && (worker.models === null || worker.models.has(model));
    },
    isOut(name) {
      const worker = book.value.workers.get(name);
      return worker !== undefined && (worker.revokedAt !== null || worker.lockedAt !== null);
    },
    heard: (names) => workers.heard(names, clock.now()),
    onChange: (observer) => workers.onChange(observer),
  };
}

/** The record of a worker that may do something here. Throws why it may not. */
export function standing({ book }: Workers, name: string): WorkerRecord {
  const worker = book.value.workers.get(name);
  if (worker === undefined) throw refused(`there is no worker ${name} here: invite or allow it`);
  if (worker.revokedAt !== null) {
    throw new PosternError('worker_revoked', `${name} was revoked on ${new Date(worker.revokedAt).toISOString()}`);
  }
  if (worker.lockedAt !== null) {
    const reason = worker.lockReason ?? 'its certificate was used in two places';
    throw new PosternError('worker_locked', `${name} is locked (${reason}): invite it again with --replace`);
  }
  return worker;
}

/** Locks a worker whose certificate is used in two places, and returns what to say. */
export function lockWorker(workers: Workers, name: string, reason: string, now: number): PosternError {
  workers.lock(name, reason, now);
  return new PosternError('worker_locked', `${name} is locked (${reason}): invite it again with --replace`);
}

function refused(why: string): PosternError {
  return new PosternError('handshake_refused', `the certificate cannot be used: ${why}`);
}
