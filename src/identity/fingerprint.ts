/** Digests by which certificates and keys are recognised. */
import { createHash } from 'node:crypto';
import type { KeyObject, X509Certificate } from 'node:crypto';

/** SHA-256 of the whole certificate, hexadecimal. */
export const fingerprintOf = (certificate: X509Certificate): string => sha256(certificate.raw).toString('hex');

/** SHA-256 of a public key, hexadecimal. */
export const keyDigestOf = (key: KeyObject): string =>
  sha256(key.export({ type: 'spki', format: 'der' })).toString('hex');

/** SHA-256 of an authority's certificate as invitations carry it. */
export const authorityDigestOf = (certificate: X509Certificate): string =>
  sha256(certificate.raw).toString('base64url');

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
