/** X.509 for Postern: ECDSA P-256 throughout. The one file that knows the certificate library. */
import 'reflect-metadata'; // The library's injection container needs it loaded first.
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import type { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' } as const;
/** Certificates are dated back, so that a machine whose clock is a little slow accepts them at once. */
const BACKDATE_MS = 60_000;

export type Purpose = 'serverAuth' | 'clientAuth';
export type AlternativeName = Readonly<{ type: 'dns' | 'ip' | 'url'; value: string }>;

export interface LeafRequest {
  readonly commonName: string;
  readonly names: readonly AlternativeName[];
  readonly purpose: Purpose;
  readonly ttlMs: number;
}

export interface KeyAndCertificate {
  readonly keyPem: string;
  readonly certPem: string;
}

export function makeKeyPem(): string {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  }) as string;
}

/** A certificate authority's own certificate for `keyPem`. It may sign leaves only (path length 0). */
export async function selfSign(keyPem: string, commonName: string, now: number, ttlMs: number): Promise<string> {
  const keys = importKeys(keyPem);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=${commonName}`,
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(now + ttlMs),
    keys,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}

/** A leaf certificate for a new key, signed by the authority. */
export async function issueLeaf(
  authority: KeyAndCertificate,
  request: LeafRequest,
  now: number,
): Promise<KeyAndCertificate> {
  const issuer = new x509.X509Certificate(authority.certPem);
  const { privateKey: signingKey, publicKey: issuerKey } = importKeys(authority.keyPem);
  const keyPem = makeKeyPem();
  const { publicKey } = importKeys(keyPem);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${request.commonName}`,
    issuer: issuer.subject,
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(now + request.ttlMs),
    publicKey,
    signingKey,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage[request.purpose]], true),
      new x509.SubjectAlternativeNameExtension([...request.names]),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuerKey),
    ],
  });
  return { keyPem, certPem: `${certificate.toString('pem')}\n` };
}

function importKeys(keyPem: string): webcrypto.CryptoKeyPair {
  const key = createPrivateKey(keyPem);
  return {
    privateKey: key.toCryptoKey(KEY_ALGORITHM, false, ['sign']),
    publicKey: createPublicKey(key).toCryptoKey(KEY_ALGORITHM, true, ['verify']),
  };
}

/** 127 random bits; the first is clear, because a serial number is a signed integer and must be positive. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}
