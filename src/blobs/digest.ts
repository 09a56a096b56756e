/** The name of a blob, calculated without holding up what else this process does: a large one takes many turns. */
import { createHash } from 'node:crypto';
import type { BlobKey } from './blobs.ts';

const STEP_BYTES = 1024 * 1024;

export async function digest(bytes: Uint8Array): Promise<BlobKey> {
  const hash = createHash('sha256');
  for (let at = 0; at < bytes.byteLength; at += STEP_BYTES) {
    hash.update(bytes.subarray(at, at + STEP_BYTES));
    if (at + STEP_BYTES < bytes.byteLength) await new Promise((resolve) => setImmediate(resolve));
  }
  return hash.digest('hex');
}
