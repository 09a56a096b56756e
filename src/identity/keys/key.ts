/** What an API key allows, and how that is checked when one is made. */
import { z } from 'zod';
import { PosternError } from '../../errors.ts';
import { modelName } from '../../protocol/messages.ts';

/**
 * `predict`: make predictions, and read and cancel one's own. `read`: change nothing; models, workers, metrics. `admin`:
 * everything, the predictions of other keys and the keys themselves included.
 */
export const SCOPES = ['predict', 'read', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

const MAX_NAME_CHARS = 64;
const MAX_MODELS = 64;
/** No key means more than this, and a larger number is a mistake in the unit. */
const MAX_RATE_PER_S = 100_000;
const MAX_UNDECIDED_JOBS = 1_000_000;

/** What somebody asks for who makes a key. Epoch ms; null: no limit. */
const schema = z.strictObject({
  /** For people: who or what has it. */
  name: z
    .string()
    .min(1)
    .max(MAX_NAME_CHARS)
    .regex(/^[^\p{Cc}\p{Cf}]+$/u, 'must be printable'),
  scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length).default(['predict']),
  models: z.array(modelName).min(1).max(MAX_MODELS).nullable().default(null),
  /** Requests a second on the long run. */
  ratePerS: z.number().positive().max(MAX_RATE_PER_S).nullable().default(null),
  /** Requests at once, after a pause. By default what the rate gives in a second, at least 1. */
  burstRequests: z.int().min(1).max(MAX_RATE_PER_S).nullable().default(null),
  /** Predictions that are not decided yet, in all. */
  maxUndecidedJobs: z.int().min(1).max(MAX_UNDECIDED_JOBS).nullable().default(null),
  expiresAt: z.int().positive().nullable().default(null),
});

export type KeyWish = z.input<typeof schema>;
export type KeyTerms = z.infer<typeof schema>;

/** A key as it is kept: everything but the key. Times are epoch ms. */
export interface KeyRecord extends KeyTerms {
  readonly id: string;
  readonly createdAt: number;
  /** `cli`, or the id of the key with which it was made. */
  readonly createdBy: string;
  readonly revokedAt: number | null;
  /** To the minute; null: never. */
  readonly lastUsedAt: number | null;
}

/** A record with the digest of its token: for those who check keys, never for those who list them. */
export interface CheckedKey extends KeyRecord {
  readonly digest: string;
}

/** Throws bad_parameter that names everything that is wrong. */
export function parseKeyWish(wish: unknown, nowMs: number): KeyTerms {
  const parsed = schema.safeParse(wish);
  const problems = parsed.success
    ? crossProblems(parsed.data, nowMs)
    : parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the key'}: ${message}`);
  if (!parsed.success || problems.length > 0) {
    throw new PosternError('bad_parameter', `Such a key cannot be made. ${problems.join('; ')}.`);
  }
  return { ...parsed.data, scopes: [...new Set(parsed.data.scopes)] };
}

function crossProblems({ ratePerS, burstRequests, scopes, models, expiresAt }: KeyTerms, nowMs: number): string[] {
  const problems: string[] = [];
  if (burstRequests !== null && ratePerS === null) problems.push('burstRequests: says nothing without ratePerS');
  if (scopes.includes('admin') && models !== null) problems.push('models: an admin key is for all of them');
  if (expiresAt !== null && expiresAt <= nowMs) problems.push('expiresAt: lies in the past');
  return problems;
}

export function stateOf({ revokedAt, expiresAt }: KeyRecord, nowMs: number): 'active' | 'revoked' | 'expired' {
  if (revokedAt !== null) return 'revoked';
  return expiresAt !== null && expiresAt <= nowMs ? 'expired' : 'active';
}

/** As JSON has it, over HTTP and on the command line. Times are ISO 8601. */
export function keyEntry(key: KeyRecord, nowMs: number): object {
  return {
    id: key.id,
    name: key.name,
    state: stateOf(key, nowMs),
    scopes: key.scopes,
    models: key.models,
    rate_per_s: key.ratePerS,
    burst_requests: key.burstRequests,
    max_undecided_jobs: key.maxUndecidedJobs,
    created_at: moment(key.createdAt),
    created_by: key.createdBy,
    expires_at: moment(key.expiresAt),
    revoked_at: moment(key.revokedAt),
    last_used_at: moment(key.lastUsedAt),
  };
}

const moment = (epochMs: number | null): string | null => (epochMs === null ? null : new Date(epochMs).toISOString());
