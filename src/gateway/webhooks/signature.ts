/** Signatures as the Standard Webhooks specification has them: version 1, HMAC-SHA256 over id, timestamp and body. */
import { createHmac } from 'node:crypto';

const SECRET_PREFIX = 'whsec_';

/** The text of a secret, as it is given to receivers. */
export const secretText = (key: Uint8Array): string => `${SECRET_PREFIX}${Buffer.from(key).toString('base64')}`;

/** The three headers. Every valid key signs, so that a receiver with any one of them can verify. */
export function signedHeaders(
  id: string,
  timestampS: number,
  body: Uint8Array,
  keys: readonly Uint8Array[],
): Record<string, string> {
  const signatures = keys.map((key) => {
    const digest = createHmac('sha256', key).update(`${id}.${timestampS}.`).update(body).digest('base64');
    return `v1,${digest}`;
  });
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestampS),
    'webhook-signature': signatures.join(' '),
  };
}
