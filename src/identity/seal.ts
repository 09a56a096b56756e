/**
 * Secrets that lie where more people read than may know them: the database of several gateways, and its backups. They are sealed with a key
 * that is made of an authority's private key, which every gateway has and no database. AES-256-GCM; the key by HKDF-SHA256 (RFC 5869)
 * from the private scalar, so that it does not depend on how a file writes the key down.
 */
import { createCipheriv, createDecipheriv, createPrivateKey, hkdfSync, randomBytes } from 'node:crypto';

export interface Seal {
  /** `name` says what it is, and only under that name is it opened. */
  close(name: string, secret: Uint8Array): Uint8Array;
  /** null: it was sealed with another key, under another name, or changed. */
  open(name: string, sealed: Uint8Array): Uint8Array | null;
}

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
/** Random ones: so few secrets are sealed that two never meet. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const PURPOSE = 'postern: seal of secrets in the control records';

export function createSeal(privateKeyPem: string): Seal {
  const { d } = createPrivateKey(privateKeyPem).export({ format: 'jwk' });
  const key = new Uint8Array(hkdfSync('sha256', Buffer.from(d ?? '', 'base64url'), '', PURPOSE, KEY_BYTES));
  return {
    close(name, secret) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, key, nonce).setAAD(Buffer.from(name));
      return Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
    },
    open(name, sealed) {
      if (sealed.byteLength < NONCE_BYTES + TAG_BYTES) return null;
      const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
      decipher.setAAD(Buffer.from(name)).setAuthTag(sealed.subarray(-TAG_BYTES));
      try {
        return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
      } catch {
        return null;
      }
    },
  };
}
