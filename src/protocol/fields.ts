/** Fields that several messages have in common. */
import { z } from 'zod';
import { DEFAULT_LIMITS, MAX_CREDIT_ROWS, MAX_PAYLOAD_BYTES } from './limits.ts';

export const id = z.string().min(1).max(64);
/** Model and version names double as folder names: no separators, no leading dot. */
export const modelName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/);
export const modelVersion = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/);
export const workerName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/);
export const contentType = z.string().min(1).max(255);
export const text = z.string().max(2_000);
export const attempt = z.int().min(1).max(1_000_000);
export const rows = z.int().min(1).max(MAX_CREDIT_ROWS);
export const bytes = z.int().min(0).max(MAX_PAYLOAD_BYTES);
export const durationMs = z.number().min(0).max(Number.MAX_SAFE_INTEGER);

export const limits = z.object({
  maxPayloadBytes: z.int().min(1_024).max(MAX_PAYLOAD_BYTES),
  streamWindowBytes: z
    .int()
    .min(65_536)
    .max(DEFAULT_LIMITS.streamWindowBytes * 16),
  connectionWindowBytes: z
    .int()
    .min(65_536)
    .max(DEFAULT_LIMITS.connectionWindowBytes * 16),
  maxStreams: z.int().min(1).max(65_536),
});

/** What a peer can do beyond the first form of `postern/1`: a message that only newer peers know is sent only to these. */
export const features = z.array(z.string().min(1).max(32)).max(16);
