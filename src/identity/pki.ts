/**
 * The certificates that the tunnel port is run with: what the gateway shows, whom it trusts, who signs for workers. Either
 * this installation's own authorities, or files of another one (`readForeignPki`), which signs nothing here.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { basename, join } from 'node:path';
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import type { Authorities } from './authorities.ts';
import { authorityFiles, checkKeyMode, openAuthority } from './authority.ts';
import { keyDigestOf } from './fingerprint.ts';
import type { Authority } from './authority.ts';
import { openGatewayCertificate } from './identity.ts';
import { checkGatewayCertificate } from './peer.ts';
import { readStateFile } from '../state-file.ts';

/** What a TLS server is made of. */
export interface TlsFiles {
  readonly keyPem: string;
  /** The gateway's certificate, and what a client needs to follow it to its authority. */
  readonly certPem: string;
  /** Authorities of clients. */
  readonly trustPems: readonly string[];
  /** Certificates that were taken back by another authority. */
  readonly crlPem: string | null;
}

export interface Pki {
  readonly tls: TlsFiles;
  /** Own ones that are trusted now, the one of the gateway's certificate first. Empty with another authority's files. */
  readonly authorities: readonly Authority[];
  /** Signs for workers; null: somebody else does. */
  readonly signer: Authority | null;
}

export interface OwnPkiOptions {
  /** `<data dir>/identity`. */
  readonly folder: string;
  readonly hosts: readonly string[];
  readonly clock: Clock;
  readonly authorities: Authorities;
}

/** Opens what is there and makes what is missing. Rejects with config_invalid when something is broken. */
export async function openOwnPki({ folder, hosts, clock, authorities }: OwnPkiOptions): Promise<Pki> {
  const { present, next } = authorities.numbers.value;
  const open = (number: number): Promise<Authority> => openKnown(folder, clock, authorities, number);
  const first = await open(present);
  const second = next === null ? null : await open(next);
  const gateway = await openGatewayCertificate(folder, hosts, first, clock);
  const trusted = second === null ? [first] : [first, second];
  return {
    tls: {
      keyPem: gateway.keyPem,
      // With the authority behind it: who joins knows only its digest, and takes it from here.
      certPem: gateway.certPem + first.certPem,
      trustPems: trusted.map(({ certPem }) => certPem),
      crlPem: null,
    },
    authorities: trusted,
    signer: second ?? first,
  };
}

/**
 * An authority that the records know by its key is opened and never made: another one of the same number would lock out every
 * worker. So a gateway that joins others, or whose folder was lost, says what it lacks.
 */
async function openKnown(folder: string, clock: Clock, authorities: Authorities, number: number): Promise<Authority> {
  const { keyPath, certPath } = authorityFiles(folder, number);
  const known = authorities.keyOf(number);
  const remedy = `copy ${basename(keyPath)} and ${basename(certPath)} from a gateway that has them, or from a backup`;
  if (known !== null && (await readStateFile(keyPath)) === null) {
    throw new PosternError(
      'config_invalid',
      `${keyPath} is missing, and workers trust the authority with that key: ${remedy}`,
    );
  }
  const authority = await openAuthority(folder, clock, number);
  const key = keyDigestOf(authority.certificate.publicKey);
  if (known === key || authorities.noteKey(number, key)) return authority;
  throw new PosternError('config_invalid', `${certPath} is not the authority that workers trust: ${remedy}`);
}

/**
 * Reads `ca.pem`, `gateway.key`, `gateway.pem` (with intermediate certificates behind it, if there are any) and, when it is
 * there, `crl.pem`. Any key that TLS 1.3 takes: EC, RSA, Ed25519. Rejects with config_invalid.
 */
export async function readForeignPki(folder: string): Promise<Pki> {
  const read = async (file: string): Promise<string> => {
    const content = await readStateFile(join(folder, file));
    if (content === null) throw new PosternError('config_invalid', `${join(folder, file)} is missing`);
    return content;
  };
  const [trust, keyPem, certPem] = [await read('ca.pem'), await read('gateway.key'), await read('gateway.pem')];
  await checkKeyMode(join(folder, 'gateway.key'));
  try {
    const certificate = new X509Certificate(certPem);
    if (!certificate.checkPrivateKey(createPrivateKey(keyPem))) {
      throw new PosternError('config_invalid', 'gateway.pem is not the certificate of gateway.key');
    }
    checkGatewayCertificate(certificate, false);
    const trustPems = splitPems(trust);
    for (const pem of trustPems) new X509Certificate(pem);
    if (trustPems.length === 0) throw new PosternError('config_invalid', 'ca.pem holds no certificate');
    const crlPem = await readStateFile(join(folder, 'crl.pem'));
    return { tls: { keyPem, certPem, trustPems, crlPem }, authorities: [], signer: null };
  } catch (cause) {
    const why = cause instanceof PosternError ? cause.message : 'a file is not valid PEM';
    throw new PosternError('config_invalid', `the certificates in ${folder} cannot be used: ${why}`, { cause });
  }
}

/** Each certificate of a file with several. */
export const splitPems = (text: string): string[] =>
  text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? [];
