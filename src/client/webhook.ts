/**
 * Is this webhook from the gateway whose secret I have? Verifies by the Standard Webhooks specification, with Web Crypto only:
 * in Node, in browsers, and where functions run at the edge.
 */
import { systemClock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import type { Prediction } from './shapes.ts';

export interface ReceivedWebhook {
  /** `Headers`, or an object with names in lower case as Node's `request.headers`. */
  readonly headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>;
  /** The bytes as they came: parsed and written anew they may be others. */
  readonly body: Uint8Array | string;
}

export interface VerifyOptions {
  /** How far its time may be from ours, either way. An older one may be a repetition by somebody who listened. */
  readonly toleranceS?: number;
  /** Epoch ms. */
  readonly nowMs?: number;
}

const TOLERANCE_S = 300;
const PREFIX = 'whsec_';
/** A sender signs with two keys while it changes them. */
const MAX_SIGNATURES = 8;

/** The prediction that it carries. Throws webhook_unverified when it is forged, too old, or not a webhook at all. */
export async function verifyWebhook(
  { headers, body }: ReceivedWebhook,
  secret: string,
  { toleranceS = TOLERANCE_S, nowMs = systemClock.now() }: VerifyOptions = {},
): Promise<Prediction> {
  const header = (name: string): string => {
    const value = headers instanceof Headers ? headers.get(name) : headers[name];
    if (typeof value === 'string' && value !== '') return value;
    throw unverified(`the header ${name} is missing`);
  };
  const [id, timestamp] = [header('webhook-id'), header('webhook-timestamp')];
  const ageS = Math.abs(nowMs / 1000 - Number(timestamp));
  if (!/^\d{1,12}$/.test(timestamp) || ageS > toleranceS) {
    throw unverified(`its time is more than ${toleranceS} s from ours: look at both clocks`);
  }
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body;
  const head = new TextEncoder().encode(`${id}.${timestamp}.`);
  const signed = new Uint8Array(head.length + bytes.length);
  signed.set(head);
  signed.set(bytes, head.length);
  const key = await importKey(secret);
  for (const one of header('webhook-signature').split(' ').slice(0, MAX_SIGNATURES)) {
    const signature = one.startsWith('v1,') ? decode(one.slice(3)) : null;
    // Web Crypto compares in constant time.
    if (signature !== null && (await crypto.subtle.verify('HMAC', key, signature, signed))) return parse(bytes);
  }
  throw unverified('no signature fits: the secret is of another key or gateway, or the body was changed');
}

async function importKey(secret: string): Promise<Awaited<ReturnType<typeof crypto.subtle.importKey>>> {
  const bytes = secret.startsWith(PREFIX) ? decode(secret.slice(PREFIX.length)) : null;
  if (bytes === null || bytes.length === 0) {
    throw new PosternError('config_invalid', 'the secret must be whsec_…, as GET /v1/webhooks/default/secret gives it');
  }
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
}

function decode(base64: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

function parse(bytes: Uint8Array): Prediction {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as Prediction;
  } catch (error) {
    throw new PosternError('webhook_unverified', 'the body is signed, and is not JSON', { cause: error });
  }
}

function unverified(reason: string): PosternError {
  return new PosternError('webhook_unverified', `the webhook is not accepted: ${reason}`);
}
