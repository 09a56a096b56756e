/** A worker on the gateway's own machine: no invitation goes anywhere, key and certificate are made in place. */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { PosternError } from '../errors.ts';
import type { Clock } from '../clock.ts';
import { signWorker } from './enrolment.ts';
import type { Pki } from './pki.ts';
import { writeWorkerIdentity } from './worker.ts';
import type { Allowance, Workers } from './workers.ts';

export interface LocalWorkerOptions {
  readonly pki: Pki;
  readonly workers: Workers;
  readonly clock: Clock;
  readonly name: string;
  readonly models: Allowance;
  readonly ttlMs: number;
  /** Where its identity goes. Whatever was there is replaced, and counts no more. */
  readonly folder: string;
  /** `host:port` of the tunnel, where its certificates are renewed; absent: they are not. */
  readonly address?: string;
}

export async function makeLocalWorker(options: LocalWorkerOptions): Promise<void> {
  const { pki, workers, clock, name, models, folder } = options;
  if (pki.signer === null) {
    throw new PosternError(
      'config_invalid',
      'a worker of this machine needs an own authority: unset POSTERN_PKI_DIR, or run gateway and worker each with its certificates',
    );
  }
  const { makeKeyPem } = await import('./certificate.ts');
  const keyPem = makeKeyPem();
  const generation = (workers.book.value.workers.get(name)?.generation ?? 0) + 1;
  const key = createPublicKey(createPrivateKey(keyPem));
  const made = await signWorker(pki.signer, name, generation, key, options.ttlMs);
  if (!workers.adopt(made, models, clock.now())) {
    throw new PosternError('config_invalid', `another process made a worker ${name} at the same moment: start again`);
  }
  const joinedAt = options.address === undefined ? {} : { joinedAt: options.address };
  await writeWorkerIdentity(folder, { keyPem, certPem: made.pem, caPem: pki.tls.trustPems.join(''), ...joinedAt });
}
