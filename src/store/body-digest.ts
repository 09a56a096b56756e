/** What "the same body" means for an idempotency key: everything that changes the answer, and not the deadline. */
import { createHash } from 'node:crypto';
import type { Json, NewJob } from '../dispatch/job.ts';

/** SHA-256 as base64url, over model, version, parameters, media type and bytes, each with its length. */
export function bodyDigest(job: Pick<NewJob, 'model' | 'version' | 'parameters' | 'input' | 'webhook'>): string {
  const hash = createHash('sha256');
  for (const part of [job.model, job.version ?? '', canonical(job.parameters), job.input.contentType]) {
    hash.update(`${Buffer.byteLength(part)}:`).update(part);
  }
  // The base of links is the address by which the caller came this time, and not what it asked for.
  if (job.webhook !== null) hash.update(JSON.stringify([job.webhook.url, job.webhook.events]));
  return hash.update(job.input.bytes).digest('base64url');
}

/** JSON with sorted keys: the same parameters in another order are the same body. */
function canonical(value: Json): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
