/** A worker's identity folder: `worker.key` (0600), `worker.pem`, and the authority that it trusts, `ca.pem`. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { PosternError } from '../errors.ts';
import { checkKeyMode } from './authority.ts';
import type { KeyAndCertificate } from './certificate.ts';
import { readWorkerCertificate } from './peer.ts';
import { KEY_MODE, PUBLIC_MODE, readStateFile, writeStateFile } from './state-file.ts';

export interface WorkerCredentials extends KeyAndCertificate {
  readonly caPem: string;
  /** The name in the certificate. */
  readonly name: string;
  /** Epoch ms. */
  readonly certificateEndsAt: number;
}

export async function writeWorkerIdentity(folder: string, made: KeyAndCertificate & { caPem: string }): Promise<void> {
  await writeStateFile(join(folder, 'ca.pem'), made.caPem, PUBLIC_MODE);
  await writeStateFile(join(folder, 'worker.key'), made.keyPem, KEY_MODE);
  await writeStateFile(join(folder, 'worker.pem'), made.certPem, PUBLIC_MODE);
}

/** Reads the folder. An expired certificate is returned all the same: whether it still counts, the gateway decides. */
export async function readWorkerIdentity(folder: string): Promise<WorkerCredentials> {
  const [keyPem, certPem, caPem] = await Promise.all(
    ['worker.key', 'worker.pem', 'ca.pem'].map((file) => readRequired(join(folder, file))),
  );
  await checkKeyMode(join(folder, 'worker.key'));
  try {
    const certificate = new X509Certificate(certPem ?? '');
    const paired = certificate.checkPrivateKey(createPrivateKey(keyPem ?? ''));
    if (!paired) throw new PosternError('config_invalid', 'worker.pem is not the certificate of worker.key');
    const issued = certificate.verify(new X509Certificate(caPem ?? '').publicKey);
    if (!issued) throw new PosternError('config_invalid', 'worker.pem was not signed by the authority in ca.pem');
    const { name, certificateEndsAt } = readWorkerCertificate(certificate, certificate.validFromDate.getTime());
    return { keyPem: keyPem ?? '', certPem: certPem ?? '', caPem: caPem ?? '', name, certificateEndsAt };
  } catch (cause) {
    const why = cause instanceof PosternError ? cause.message : 'a file is not valid PEM';
    throw new PosternError('config_invalid', `the worker's identity in ${folder} cannot be used: ${why}`, { cause });
  }
}

async function readRequired(path: string): Promise<string> {
  const content = await readStateFile(path);
  if (content !== null) return content;
  throw new PosternError(
    'config_invalid',
    `${path} is missing: a worker needs worker.key, worker.pem and ca.pem there`,
  );
}
