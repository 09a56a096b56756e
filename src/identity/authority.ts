/**
 * The certificate authority of one installation, in `ca.key` and `ca.pem`. Made on first start, reused ever after: a new
 * one would lock out every worker, so a broken pair is an error that says what to do, never a reason to begin again.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import type { KeyAndCertificate, LeafRequest } from './certificate.ts';
import { createSeal, type Seal } from './seal.ts';
import { createStateFile, KEY_MODE, PUBLIC_MODE, readStateFile, writeStateFile } from '../state-file.ts';

/** Ten years: replacing it means that every worker joins again. */
const AUTHORITY_TTL_MS = 10 * 365 * 86_400_000;

export interface Authority {
  readonly certPem: string;
  /** 1 for the first one of an installation; each that replaces it counts on. */
  readonly number: number;
  readonly certificate: X509Certificate;
  /** Of secrets that only who has this authority's key may read. */
  readonly seal: Seal;
  /** A new key, and the certificate for it. */
  issue(request: LeafRequest): Promise<KeyAndCertificate>;
  /** A certificate for a key whose owner keeps it. PEM. */
  sign(request: LeafRequest, key: KeyObject): Promise<string>;
}

/** Its files in the identity's folder. */
export function authorityFiles(
  folder: string,
  number: number,
): { readonly keyPath: string; readonly certPath: string } {
  const stem = join(folder, number === 1 ? 'ca' : `ca-${number}`);
  return { keyPath: `${stem}.key`, certPath: `${stem}.pem` };
}

/** Opens an authority, made when there is none of this number. */
export async function openAuthority(folder: string, clock: Clock, number = 1): Promise<Authority> {
  const { keyPath, certPath } = authorityFiles(folder, number);
  const keyPem = await readOrMakeKey(keyPath, certPath);
  let certPem = await readStateFile(certPath);
  if (certPem === null) {
    // The key without its certificate: a crash between the two files. Signing again with the same key changes nobody's trust.
    const { selfSign } = await import('./certificate.ts');
    certPem = await selfSign(keyPem, `Postern CA ${number}`, clock.now(), AUTHORITY_TTL_MS);
    await writeStateFile(certPath, certPem, PUBLIC_MODE);
  }
  checkPair(folder, keyPem, certPem, clock.now());
  const pair: KeyAndCertificate = { keyPem, certPem };
  return {
    certPem,
    number,
    certificate: new X509Certificate(certPem),
    seal: createSeal(keyPem),
    async sign(request, key) {
      const { signLeaf } = await import('./certificate.ts');
      return signLeaf(pair, request, key, clock.now());
    },
    async issue(request) {
      const { issueLeaf } = await import('./certificate.ts');
      return issueLeaf(pair, request, clock.now());
    },
  };
}

async function readOrMakeKey(keyPath: string, certPath: string): Promise<string> {
  const existing = await readStateFile(keyPath);
  if (existing !== null) {
    await checkKeyMode(keyPath);
    return existing;
  }
  if ((await readStateFile(certPath)) !== null) {
    throw new PosternError(
      'config_invalid',
      `${certPath} is there but its key ${keyPath} is not: restore the key from a backup, or move the folder away to make a new authority (every worker must then join again)`,
    );
  }
  const { makeKeyPem } = await import('./certificate.ts');
  const made = makeKeyPem();
  if (await createStateFile(keyPath, made, KEY_MODE)) return made;
  return (await readStateFile(keyPath)) ?? made;
}

/** A key that others on the machine can read is not a secret; ssh refuses such keys too. */
export async function checkKeyMode(path: string): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & 0o077) === 0) return;
  const got = (mode & 0o777).toString(8);
  throw new PosternError('config_invalid', `${path} has mode ${got}, expected 600: run chmod 600 ${path}`);
}

function checkPair(folder: string, keyPem: string, certPem: string, now: number): void {
  const advice = `restore ca.key and ca.pem in ${folder} from a backup, or move the folder away to make a new authority (every worker must then join again)`;
  const certificate = parsePair(keyPem, certPem);
  if (certificate === null) {
    throw new PosternError('config_invalid', `the certificate authority cannot be read: ${advice}`);
  }
  if (!certificate.ca || !certificate.checkPrivateKey(createPrivateKey(keyPem))) {
    throw new PosternError('config_invalid', `ca.pem is not the certificate of ca.key: ${advice}`);
  }
  if (certificate.validToDate.getTime() <= now) {
    throw new PosternError('config_invalid', `the certificate authority ended on ${certificate.validTo}: ${advice}`);
  }
}

function parsePair(keyPem: string, certPem: string): X509Certificate | null {
  try {
    createPrivateKey(keyPem);
    return new X509Certificate(certPem);
  } catch {
    return null;
  }
}
