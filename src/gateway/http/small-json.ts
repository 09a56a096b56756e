/** Bodies of a few hundred bytes: what an administrator sends. */
import type { IncomingMessage } from 'node:http';
import { PosternError } from '../../errors.ts';
import { admit, hasBody, readBody, refuseEncoding } from './body.ts';
import type { BodyBudget } from './budget.ts';
import { parseJsonSafely } from './parameters.ts';

const MAX_SMALL_BYTES = 16_384;

/**
 * Reads a JSON object. Only `application/json` is taken: a form of another site can send text, but not that type without
 * having asked first.
 */
export async function readSmallJson(request: IncomingMessage, budget: BodyBudget): Promise<Record<string, unknown>> {
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (type !== 'application/json') {
    throw new PosternError('unsupported_media_type', 'Expected a JSON object, as application/json.');
  }
  if (!hasBody(request)) throw new PosternError('bad_json', 'Expected a JSON object; the body is empty.');
  refuseEncoding(request);
  const share = budget.open();
  try {
    const limits = { maxBytes: MAX_SMALL_BYTES, share };
    admit(request, limits);
    const value: unknown = parseJsonSafely((await readBody(request, limits)).toString('utf8'), 'bad_json');
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    throw new PosternError('bad_request', 'Expected a JSON object.');
  } finally {
    share.release();
  }
}
