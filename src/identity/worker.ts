/**
 * A worker's identity folder: `worker.key` (0600), `worker.pem`, the authorities that it trusts (`ca.pem`), and for one that
 * has joined `gateway.json`: where it joined, which also says that its certificates are renewed there.
 *
 * A new certificate comes with a new key, and two files cannot be replaced in one step. So the new key waits in
 * `worker.next.key` until its certificate is there; the certificate goes in first, then the key takes its place. Whoever reads
 * the folder in between sees by the pair which step is missing, and takes it.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { PosternError } from '../errors.ts';
import { checkKeyMode } from './authority.ts';
import type { KeyAndCertificate } from './certificate.ts';
import { readWorkerCertificate } from './peer.ts';
import type { NameRule, WorkerIdentity } from './peer.ts';
import { splitPems } from './pki.ts';
import { createStateFile, KEY_MODE, PUBLIC_MODE, readStateFile, writeStateFile } from '../state-file.ts';

const gatewayFile = z.object({
  /** `host:port` of the tunnel. */
  address: z.string().min(3).max(300),
});

export interface WorkerCredentials extends KeyAndCertificate {
  /** One or more, while the authority is being replaced. */
  readonly caPem: string;
  /** The name in the certificate. */
  readonly name: string;
  /** Epoch ms. */
  readonly certificateStartsAt: number;
  /** Epoch ms. */
  readonly certificateEndsAt: number;
  /** Where it joined, `host:port`; null: its files were put there by somebody else, who also replaces them. */
  readonly joinedAt: string | null;
}

export interface NewIdentity extends KeyAndCertificate {
  readonly caPem: string;
  /** `host:port`; see {@link WorkerCredentials.joinedAt}. */
  readonly joinedAt?: string;
}

export async function writeWorkerIdentity(folder: string, made: NewIdentity): Promise<void> {
  await writeStateFile(join(folder, 'ca.pem'), made.caPem, PUBLIC_MODE);
  await writeStateFile(join(folder, 'worker.key'), made.keyPem, KEY_MODE);
  await writeStateFile(join(folder, 'worker.pem'), made.certPem, PUBLIC_MODE);
  await rm(join(folder, 'worker.next.key'), { force: true });
  if (made.joinedAt !== undefined) await writeGateway(folder, made.joinedAt);
}

/** The key of the next certificate: the one that waits there already, or a new one. Two processes agree on one. */
export async function nextKey(folder: string): Promise<string> {
  const path = join(folder, 'worker.next.key');
  const waiting = await readStateFile(path);
  if (waiting !== null) return waiting;
  const { makeKeyPem } = await import('./certificate.ts');
  const made = makeKeyPem();
  if (await createStateFile(path, made, KEY_MODE)) return made;
  return (await readStateFile(path)) ?? made;
}

/** Puts the certificate of the next key in its place. Throws handshake_refused when it is not for that key and worker. */
export async function installCertificate(
  folder: string,
  issued: { readonly certificate: string; readonly authorities: readonly string[] },
  name: string,
): Promise<void> {
  const certificate = new X509Certificate(issued.certificate);
  const key = createPrivateKey(await nextKey(folder));
  const named = readWorkerCertificate(certificate, certificate.validFromDate.getTime()).name;
  if (named !== name || !certificate.checkPrivateKey(key) || !isIssued(certificate, issued.authorities)) {
    throw new PosternError('handshake_refused', 'the gateway sent a certificate that is not for this worker and key');
  }
  // Trust first: it holds for the old certificate and for the new one.
  await writeStateFile(join(folder, 'ca.pem'), issued.authorities.join(''), PUBLIC_MODE);
  await writeStateFile(join(folder, 'worker.pem'), issued.certificate, PUBLIC_MODE);
  await rename(join(folder, 'worker.next.key'), join(folder, 'worker.key'));
}

export const writeGateway = (folder: string, address: string): Promise<void> =>
  writeStateFile(join(folder, 'gateway.json'), `${JSON.stringify({ address })}\n`, PUBLIC_MODE);

/** Where the worker of this folder joined; null: nowhere. */
export async function readGateway(folder: string): Promise<string | null> {
  const text = await readStateFile(join(folder, 'gateway.json'));
  if (text === null) return null;
  try {
    return gatewayFile.parse(JSON.parse(text)).address;
  } catch (cause) {
    throw new PosternError('config_invalid', `${join(folder, 'gateway.json')} cannot be read: join again`, { cause });
  }
}

/** Reads the folder. An expired certificate is returned all the same: whether it still counts, the gateway decides. */
export async function readWorkerIdentity(folder: string): Promise<WorkerCredentials> {
  const [certPem, caPem] = [await readRequired(folder, 'worker.pem'), await readRequired(folder, 'ca.pem')];
  const joinedAt = await readGateway(folder);
  const chain = splitPems(certPem);
  const certificate = parseCertificate(folder, chain[0]);
  await finishSwap(folder, certificate);
  const keyPem = await readRequired(folder, 'worker.key');
  await checkKeyMode(join(folder, 'worker.key'));
  if (!isKeyOf(keyPem, certificate)) throw unusable(folder, 'worker.pem is not the certificate of worker.key');
  // Between a certificate of another authority and that authority there may be more: TLS follows them.
  if (chain.length === 1 && !isIssued(certificate, splitPems(caPem))) {
    throw unusable(folder, 'worker.pem was not signed by the authority in ca.pem');
  }
  const { name, certificateEndsAt } = readName(folder, certificate);
  const certificateStartsAt = certificate.validFromDate.getTime();
  return { keyPem, certPem, caPem, name, certificateStartsAt, certificateEndsAt, joinedAt };
}

/** The certificate of the next key is in its place, and the key is not yet: somebody was interrupted. */
async function finishSwap(folder: string, certificate: X509Certificate): Promise<void> {
  const nextPath = join(folder, 'worker.next.key');
  const waiting = await readStateFile(nextPath);
  if (waiting === null || !isKeyOf(waiting, certificate)) return;
  await rename(nextPath, join(folder, 'worker.key')).catch((error: NodeJS.ErrnoException) => {
    // Another process of this folder has taken the step.
    if (error.code !== 'ENOENT') throw error;
  });
}

/** By the rules of this installation, or of whichever other authority. The gateway has the last word on the name. */
function readName(folder: string, certificate: X509Certificate): WorkerIdentity {
  const rules: NameRule[] = ['own', 'uri', 'cn'];
  let first: unknown;
  for (const rule of rules) {
    try {
      return readWorkerCertificate(certificate, certificate.validFromDate.getTime(), rule);
    } catch (error) {
      first ??= error;
    }
  }
  throw unusable(folder, (first as Error).message);
}

function isIssued(certificate: X509Certificate, authorities: readonly string[]): boolean {
  return authorities.some((pem) => {
    try {
      return certificate.verify(new X509Certificate(pem).publicKey);
    } catch {
      return false;
    }
  });
}

function isKeyOf(keyPem: string, certificate: X509Certificate): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}

function parseCertificate(folder: string, pem: string | undefined): X509Certificate {
  try {
    return new X509Certificate(pem ?? '');
  } catch (cause) {
    throw unusable(folder, 'worker.pem is not valid PEM', cause);
  }
}

function unusable(folder: string, why: string, cause?: unknown): PosternError {
  return new PosternError('config_invalid', `the worker's identity in ${folder} cannot be used: ${why}`, { cause });
}

async function readRequired(folder: string, file: string): Promise<string> {
  const path = join(folder, file);
  const content = await readStateFile(path);
  if (content !== null) return content;
  throw new PosternError(
    'config_invalid',
    `${path} is missing: \`postern join\` makes the worker's identity, or put worker.key, worker.pem and ca.pem there`,
  );
}
