/**
 * Who gets a certificate: with an invitation the first one, with a certificate of this installation the next one.
 *
 * What was made is in the records before it is sent, and the same question is answered by the same certificate. So a worker
 * that keeps its new key until it has the answer can ask again after any crash, on either side. Another key with the same
 * invitation is refused; another key with a certificate that was renewed already means that two machines hold the
 * certificate, and locks the worker (`access.ts` says why both).
 */
import { X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import { equalSecrets } from '../secret.ts';
import { lockWorker, standing } from './access.ts';
import type { Authority } from './authority.ts';
import { fingerprintOf, keyDigestOf } from './fingerprint.ts';
import { splitSecret } from './invitation.ts';
import { readWorkerCertificate, workerUri } from './peer.ts';
import type { WorkerIdentity } from './peer.ts';
import type { Pki } from './pki.ts';
import { certificateOf } from './workers.ts';
import type { NewCertificate, WorkerRecord, Workers } from './workers.ts';

export interface Issued {
  readonly worker: WorkerIdentity;
  /** PEM. */
  readonly certificate: string;
  /** PEM: whom the worker is to trust from now on. */
  readonly authorities: readonly string[];
}

export interface Enrolment {
  /** The first certificate. Rejects with enrolment_refused. `address` is for the audit log. */
  join(secret: string, request: string, address: string): Promise<Issued>;
  /**
   * The next certificate of who showed this one, which may have ended within the grace. Rejects with enrolment_refused,
   * handshake_refused, worker_revoked, worker_locked.
   */
  renew(shown: X509Certificate, request: string): Promise<Issued>;
}

export interface EnrolmentOptions {
  readonly workers: Workers;
  readonly pki: () => Pki;
  readonly clock: Clock;
  /** How long a worker's certificate counts. */
  readonly certificateTtlMs: number;
  /** For how long after its end a certificate can still be renewed, and nothing else. */
  readonly renewalGraceMs: number;
}

/** Earlier is no use to an honest worker, and would cost a signature and a flush each time. */
const EARLIEST_RENEWAL = 1 / 3;

export function createEnrolment(options: EnrolmentOptions): Enrolment {
  const { workers, pki, clock, certificateTtlMs, renewalGraceMs } = options;

  async function sign(name: string, generation: number, key: KeyObject): Promise<NewCertificate> {
    const { signer } = pki();
    if (signer === null) throw refused('this gateway uses the certificates of another authority: ask that one');
    return signWorker(signer, name, generation, key, certificateTtlMs);
  }

  function issued(certificate: string): Issued {
    const parsed = new X509Certificate(certificate);
    return {
      worker: readWorkerCertificate(parsed, clock.now()),
      certificate,
      authorities: pki().tls.trustPems,
    };
  }

  /** The same question as before, by whoever holds the same key. */
  function answerAgain(fingerprint: string): Issued {
    const pem = workers.pemOf(fingerprint);
    if (pem === null) throw refused('the certificate that was made for this request is no longer kept');
    return issued(pem);
  }

  async function join(secret: string, request: string, address: string): Promise<Issued> {
    const parts = splitSecret(secret);
    const invitation = parts === null ? null : workers.invitation(parts.id);
    // Compared in any case, so that an unknown id takes as long as a wrong secret.
    const right = equalSecrets(parts?.digest ?? '', invitation?.digest ?? '-');
    if (invitation === null || !right) throw refused('there is no such invitation');
    const now = clock.now();
    const { worker: name } = invitation;
    if (invitation.expiresAt <= now) throw refused('the invitation has expired: make a new one');
    const key = await readKey(request, name);
    const digest = keyDigestOf(key);
    if (invitation.usedAt !== null) {
      const made = [...workers.book.value.certificates.values()].find(
        (one) => one.worker === name && one.key === digest,
      );
      if (invitation.usedKey !== digest || made === undefined) throw refused('the invitation was used already');
      standing(workers, name);
      return answerAgain(made.fingerprint);
    }
    const certificate = await sign(name, (workers.book.value.workers.get(name)?.generation ?? 0) + 1, key);
    const redeemed = workers.redeem(invitation, certificate, { actor: `worker:${name}`, at: now }, address);
    if (!redeemed) throw refused('the invitation was used already');
    return issued(certificate.pem);
  }

  async function renew(shown: X509Certificate, request: string): Promise<Issued> {
    const now = clock.now();
    checkIssuer(shown, pki().authorities);
    const identity = readWorkerCertificate(shown, now, 'own', renewalGraceMs);
    const worker = standing(workers, identity.name);
    const held = workers.book.value.certificates.get(identity.fingerprint);
    if (held?.worker !== worker.name || held.generation < worker.replacedBelow) {
      throw refused('the certificate is not on record here: invite the worker again');
    }
    const key = await readKey(request, worker.name);
    // Asked again within one session: the first answer was made, and did not arrive or could not be kept.
    if (keyDigestOf(key) === held.key && held.endsAt > now) return answerAgain(held.fingerprint);
    if (held.generation < worker.generation) return answerOlder(worker, held.generation, key, now);
    if (now < held.startsAt + (held.endsAt - held.startsAt) * EARLIEST_RENEWAL) {
      throw refused('the certificate is too new to be renewed');
    }
    const certificate = await sign(worker.name, held.generation + 1, key);
    // While this one was signed another one may have been: then the question is one about an older certificate.
    if (workers.renew(certificate, identity.certificateEndsAt <= now, now)) return issued(certificate.pem);
    return answerOlder(worker, held.generation, key, now);
  }

  function answerOlder(worker: WorkerRecord, generation: number, key: KeyObject, now: number): Issued {
    const next = certificateOf(workers.book.value, worker.name, generation + 1);
    if (next?.key === keyDigestOf(key)) return answerAgain(next.fingerprint);
    throw lockWorker(workers, worker.name, `its certificate ${generation} was renewed for two different keys`, now);
  }

  return { join, renew };
}

/** A worker's certificate with what the records keep of it. */
export async function signWorker(
  signer: Authority,
  name: string,
  generation: number,
  key: KeyObject,
  ttlMs: number,
): Promise<NewCertificate> {
  const names = [{ type: 'url', value: workerUri(name) }] as const;
  const pem = await signer.sign({ commonName: name, names, purpose: 'clientAuth', ttlMs }, key);
  const certificate = new X509Certificate(pem);
  return {
    fingerprint: fingerprintOf(certificate),
    worker: name,
    generation,
    authority: signer.number,
    key: keyDigestOf(key),
    pem,
    startsAt: certificate.validFromDate.getTime(),
    endsAt: certificate.validToDate.getTime(),
  };
}

/** TLS lets a certificate through here that has ended, and then says nothing about the rest: so the rest is asked anew. */
function checkIssuer(shown: X509Certificate, authorities: readonly Authority[]): void {
  const signed = authorities.some(
    ({ certificate }) => shown.checkIssued(certificate) && shown.verify(certificate.publicKey),
  );
  if (!signed) throw new PosternError('handshake_refused', 'the certificate is not from this authority');
}

async function readKey(request: string, name: string): Promise<KeyObject> {
  const { readRequest } = await import('./certificate.ts');
  try {
    return await readRequest(request, name);
  } catch (cause) {
    throw new PosternError('enrolment_refused', `the request cannot be used: ${(cause as Error).message}`, { cause });
  }
}

function refused(why: string): PosternError {
  return new PosternError('enrolment_refused', why);
}
