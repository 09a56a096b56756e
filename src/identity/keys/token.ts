/**
 * What an API key looks like: `postern_<id>_<secret><check>`.
 *
 * The prefix lets secret scanners find a key that was committed or logged (`TOKEN_SHAPE` is the expression to give them).
 * The id is public: it names the key in lists, in jobs and in the audit log. The secret is 43 random characters of 62,
 * 256 bits. The check is the CRC-32 of everything before it, so that a key with a typing error, or one that was cut off
 * when it was copied, is told from an unknown one without asking anybody.
 */
import { hash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
const PREFIX = 'postern_';
/** 12 characters of 36: 62 bits, so that two keys never meet. */
const ID_CHARS = 12;
const SECRET_CHARS = 43;
/** 62⁶ > 2³². */
const CHECK_CHARS = 6;
const TOKEN_CHARS = PREFIX.length + ID_CHARS + 1 + SECRET_CHARS + CHECK_CHARS;

export const TOKEN_SHAPE = /^postern_([0-9a-z]{12})_[0-9A-Za-z]{49}$/;

export interface NewToken {
  readonly id: string;
  /** To be shown once, and kept nowhere. */
  readonly token: string;
}

export function makeToken(): NewToken {
  const id = randomText(ID_CHARS, 36);
  const body = `${PREFIX}${id}_${randomText(SECRET_CHARS, ALPHABET.length)}`;
  return { id, token: body + checkOf(body) };
}

/**
 * The digest that is kept in place of the token, in hex. One round of SHA-256 and no slow password hash: the secret has 256
 * random bits, so there is nothing to guess that a slow hash would have to protect, and this runs at every request.
 */
export function digestOf(token: string): string {
  return hash('sha256', token, 'hex');
}

/** The id in what may be a token, without looking at the rest: for a look-up. '' when there is none. */
export function idOf(token: string): string {
  const from = PREFIX.length;
  return token.length === TOKEN_CHARS && token.startsWith(PREFIX) && token[from + ID_CHARS] === '_'
    ? token.slice(from, from + ID_CHARS)
    : '';
}

/** What is wrong with the text of a key, as far as the text alone can tell; null: nothing. */
export function faultOf(token: string): string | null {
  if (!token.startsWith(PREFIX)) return `an API key begins with "${PREFIX}"`;
  if (!TOKEN_SHAPE.test(token)) {
    return token.length === TOKEN_CHARS
      ? 'the key has characters that no key has'
      : `a key has ${TOKEN_CHARS} characters, this one has ${token.length}: was it cut off?`;
  }
  const body = token.slice(0, -CHECK_CHARS);
  return checkOf(body) === token.slice(-CHECK_CHARS) ? null : 'the key has a typing error: its checksum does not match';
}

/** Compares two digests of one length without ending early, so that the time tells nothing about where they differ. */
export function equalDigests(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let index = 0; index < a.length; index += 1) difference |= a.charCodeAt(index) ^ b.charCodeAt(index);
  return difference === 0;
}

function checkOf(body: string): string {
  let rest = crc32(body);
  let text = '';
  for (let count = 0; count < CHECK_CHARS; count += 1) {
    text = (ALPHABET[rest % 62] ?? '') + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}

/** Characters drawn evenly: bytes that would favour the first ones (256 is no multiple) are thrown away. */
function randomText(characters: number, of: number): string {
  const limit = 256 - (256 % of);
  let text = '';
  while (text.length < characters) {
    for (const byte of randomBytes(characters)) {
      if (byte < limit && text.length < characters) text += ALPHABET[byte % of] ?? '';
    }
  }
  return text;
}
