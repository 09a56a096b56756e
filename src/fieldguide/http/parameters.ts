/** What stands in the query of the field guide's routes. Unknown names are refused: a misspelt one must not be ignored in silence. */
import type { z } from 'zod';
import { PosternError } from '../../errors.ts';
import type { Call } from '../../gateway/http/route.ts';

export const bad = (message: string): PosternError => new PosternError('bad_parameter', message);

type Query = Call['query'];

export function refuseOthers(query: Query, ...names: readonly string[]): void {
  for (const name of Object.keys(query)) {
    if (!names.includes(name)) throw bad(`${name.slice(0, 60)}: there is no such parameter`);
  }
}

export function single(query: Query, name: string): string | undefined {
  const value = query[name];
  if (Array.isArray(value)) throw bad(`${name}: given twice`);
  return value;
}

export function limitOf(query: Query, fallback: number, max: number): number {
  const text = single(query, 'limit');
  if (text === undefined) return fallback;
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > max) throw bad(`limit: expected a whole number from 1 to ${max}`);
  return limit;
}

export function choiceOf<T extends string>(query: Query, name: string, choices: readonly T[], fallback: T): T {
  const text = single(query, name) ?? fallback;
  const choice = choices.find((one) => one === text);
  if (choice === undefined) throw bad(`${name}: expected one of ${choices.join(', ')}`);
  return choice;
}

const MAX_WAIT_S = 60;

/** Milliseconds; 0 when it was not asked for. */
export function waitOf(query: Query): number {
  const text = single(query, 'wait');
  if (text === undefined) return 0;
  const seconds = text === '' ? NaN : Number(text);
  if (!(seconds >= 0 && seconds <= MAX_WAIT_S)) throw bad(`wait: expected 0 to ${MAX_WAIT_S} seconds`);
  return seconds * 1_000;
}

/** Throws bad_parameter that names the first thing that is wrong. */
export function bodyOf<T>(shape: z.ZodType<T>, value: unknown): T {
  const parsed = shape.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw bad(`${issue?.path.join('.') || 'the body'}: ${issue?.message ?? 'cannot be used'}`);
}
