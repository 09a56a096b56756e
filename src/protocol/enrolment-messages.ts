/** The messages by which a worker comes to certificates: the first one, and each next one. Part of the union in `messages.ts`. */
import { z } from 'zod';
import { text, workerName } from './fields.ts';

/** A certificate or a request for one, as text. EC certificates have about 900 characters, RSA ones about 2,000. */
const pem = z.string().min(1).max(4_096);
/** The authorities that a worker is to trust from now on: one, or two while the authority is being replaced. */
const authorities = z.array(pem).min(1).max(2);

/** Asks for a first certificate with an invitation. On enrolment connections only. W→G */
export const join = z.object({
  type: z.literal('join'),
  /** The secret part of the token. */
  token: z.string().min(16).max(128),
  /** PKCS #10, signed by the worker's new key. */
  request: pem,
});
export const joined = z.object({ type: z.literal('joined'), worker: workerName, certificate: pem, authorities });

/**
 * Asks for the next certificate: in a session, or, when the present one has ended, on an enrolment connection. The worker
 * keeps the new key until it has the answer, and asks again with the same one. W→G
 */
export const renew = z.object({ type: z.literal('renew'), request: pem });
export const renewed = z.object({ type: z.literal('renewed'), certificate: pem, authorities });
/** Why no certificate was made. The session goes on. G→W */
export const renewalRefused = z.object({ type: z.literal('renewal_refused'), code: z.string().max(64), message: text });
