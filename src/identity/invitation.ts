/**
 * The token of an invitation: everything that a machine needs to join, in one word. It carries the gateway's address, the
 * SHA-256 of the authority that the gateway's certificate comes from, the worker's name, and a secret that is good once.
 */
import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { PosternError } from '../errors.ts';
import { workerName } from '../protocol/messages.ts';

/** Makes a leaked token findable by secret scanners. */
const PREFIX = 'postern_join_';
const SECRET_BYTES = 32;
const ID_BYTES = 8;
const MAX_TOKEN_CHARACTERS = 1_024;

const content = z.strictObject({
  /** `host:port` of the tunnel. */
  a: z.string().min(3).max(300),
  /** SHA-256 of the authority's certificate (DER), base64url. */
  c: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  w: workerName,
  /** `<id>.<secret>`, base64url. */
  s: z.string().regex(/^[A-Za-z0-9_-]{11}\.[A-Za-z0-9_-]{43}$/),
});

export interface JoinToken {
  readonly address: string;
  readonly authorityDigest: string;
  readonly worker: string;
  /** What is sent to the gateway, and only there. */
  readonly secret: string;
}

/** A new secret, with what the gateway keeps of it. */
export function makeSecret(): { readonly secret: string; readonly id: string; readonly digest: string } {
  const id = randomBytes(ID_BYTES).toString('base64url');
  const key = randomBytes(SECRET_BYTES).toString('base64url');
  return { secret: `${id}.${key}`, id, digest: digestOf(key) };
}

/** The two halves of a secret as a stranger sent it; null: it has none. */
export function splitSecret(secret: string): { readonly id: string; readonly digest: string } | null {
  const [id = '', key = '', ...rest] = secret.split('.');
  return id === '' || key === '' || rest.length > 0 ? null : { id, digest: digestOf(key) };
}

export function encodeToken({ address, authorityDigest, worker, secret }: JoinToken): string {
  const text = JSON.stringify({ a: address, c: authorityDigest, w: worker, s: secret });
  return PREFIX + Buffer.from(text).toString('base64url');
}

/** Throws config_invalid; never with a part of the token in its words. */
export function decodeToken(token: string): JoinToken {
  const bad = (): PosternError =>
    new PosternError(
      'config_invalid',
      `this is no invitation: expected ${PREFIX}… as \`postern invite\` printed it, in one piece`,
    );
  if (!token.startsWith(PREFIX) || token.length > MAX_TOKEN_CHARACTERS) throw bad();
  try {
    const text = Buffer.from(token.slice(PREFIX.length), 'base64url').toString('utf8');
    const { a, c, w, s } = content.parse(JSON.parse(text));
    return { address: a, authorityDigest: c, worker: w, secret: s };
  } catch {
    throw bad();
  }
}

/** 256 random bits need no slow hash. */
const digestOf = (key: string): string => createHash('sha256').update(key).digest('base64url');
