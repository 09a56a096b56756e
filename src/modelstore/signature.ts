/**
 * Who published a model: an Ed25519 signature over the bytes of its manifest, which names every file by its SHA-256. Keys are
 * PEM files as openssl writes and reads them: the private one signs, whoever has the public one can tell.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto';
import { open } from 'node:fs/promises';
import { PosternError } from '../errors.ts';

const MAX_KEY_BYTES = 4_096;
/** 64 bytes in base64, and a line end. */
export const MAX_SIGNATURE_BYTES = 128;
const SIGNATURE = /^[A-Za-z0-9+/]{86}==\n?$/;

export const signManifest = (manifest: Buffer, key: KeyObject): Buffer =>
  Buffer.from(`${sign(null, manifest, key).toString('base64')}\n`);

/** Throws model_invalid unless the holder of the key signed these very bytes. */
export function checkSignature(manifest: Buffer, signature: Buffer | null, key: KeyObject, what: string): void {
  if (signature === null) {
    throw new PosternError(
      'model_invalid',
      `${what} is not signed, and a key was given to check it with: have it pushed with --sign-key, or leave the key out`,
    );
  }
  const text = signature.toString('latin1');
  if (!SIGNATURE.test(text) || !verify(null, manifest, key, Buffer.from(text, 'base64'))) {
    throw new PosternError(
      'model_invalid',
      `${what} was not signed by the holder of this key, or was changed since: not used`,
    );
  }
}

export const readPrivateKey = (path: string): Promise<KeyObject> => readKey(path, 'private', createPrivateKey);
export const readPublicKey = (path: string): Promise<KeyObject> => readKey(path, 'public', createPublicKey);

async function readKey(
  path: string,
  kind: 'private' | 'public',
  parse: (pem: Buffer) => KeyObject,
): Promise<KeyObject> {
  const wrong = (why: string, cause?: unknown): PosternError =>
    new PosternError(
      'config_invalid',
      `${path} is no ${kind} Ed25519 key in PEM (${why}): postern models keygen makes a pair`,
      {
        cause,
      },
    );
  let pem: Buffer;
  try {
    const file = await open(path, 'r');
    try {
      if ((await file.stat()).size > MAX_KEY_BYTES) throw new Error('it is too large');
      pem = await file.readFile();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw wrong((error as Error).message, error);
  }
  // Node would make a public key out of a private one: whoever gives that away by mistake shall be told.
  if (kind === 'public' && pem.includes('PRIVATE KEY')) throw wrong('it is the private one');
  let key: KeyObject;
  try {
    key = parse(pem);
  } catch (error) {
    throw wrong('it cannot be read', error);
  }
  if (key.asymmetricKeyType !== 'ed25519') throw wrong(`it is of the type ${key.asymmetricKeyType ?? 'unknown'}`);
  return key;
}

export function makeKeyPair(): { readonly privatePem: string; readonly publicPem: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
}
