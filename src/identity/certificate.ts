/** X.509 for Postern: ECDSA P-256 throughout. The one file that knows the certificate library. */
import 'reflect-metadata'; // The library's injection container needs it loaded first.
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import type { KeyObject, webcrypto } from 'node:crypto';
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
  /** Several: for both ends of a connection. */
  readonly purpose: Purpose | readonly Purpose[];
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
  const keyPem = makeKeyPem();
  return { keyPem, certPem: await signLeaf(authority, request, createPublicKey(keyPem), now) };
}

/** A leaf certificate for a key whose owner keeps it, signed by the authority. PEM. */
export async function signLeaf(
  authority: KeyAndCertificate,
  request: LeafRequest,
  key: KeyObject,
  now: number,
): Promise<string> {
  const issuer = new x509.X509Certificate(authority.certPem);
  const { privateKey: signingKey, publicKey: issuerKey } = importKeys(authority.keyPem);
  const publicKey = key.toCryptoKey(KEY_ALGORITHM, true, ['verify']);
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
      new x509.ExtendedKeyUsageExtension(
        [request.purpose].flat().map((one) => x509.ExtendedKeyUsage[one]),
        true,
      ),
      new x509.SubjectAlternativeNameExtension([...request.names]),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuerKey),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}

/** A request (PKCS #10) for a certificate of this name, which proves that its sender holds the key. PEM. */
export async function makeRequest(keyPem: string, commonName: string): Promise<string> {
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: `CN=${commonName}`,
    keys: importKeys(keyPem),
    signingAlgorithm: SIGNING_ALGORITHM,
  });
  return `${request.toString('pem')}\n`;
}

/**
 * The key of a request for exactly this name. What a certificate says is the authority's to decide, so a request that
 * asks for anything beside its key (a name, a purpose, to be an authority) is refused and not quietly cut down. Throws
 * a reason in words.
 */
export async function readRequest(pem: string, commonName: string): Promise<KeyObject> {
  const request = parseRequest(pem);
  if (request.subject !== `CN=${commonName}`) {
    throw new Error(`it is for ${JSON.stringify(request.subject.slice(0, 80))} instead of CN=${commonName}`);
  }
  if (request.extensions.length > 0 || request.attributes.length > 0) throw new Error('it asks for extensions');
  const key = createPublicKey({ key: Buffer.from(request.publicKey.rawData), format: 'der', type: 'spki' });
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new Error('its key is not of ECDSA P-256');
  }
  const signed = await request.verify().catch(() => false);
  if (!signed) throw new Error('its signature is not of its key');
  return key;
}

function parseRequest(pem: string): x509.Pkcs10CertificateRequest {
  try {
    return new x509.Pkcs10CertificateRequest(pem);
  } catch (cause) {
    throw new Error('it is not a PKCS #10 request', { cause });
  }
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
