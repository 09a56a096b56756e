/** What a list of jobs is asked for: how many, from where, in which status, of which model and caller. */
import { TERMINAL, type JobStatus } from '../../dispatch/job.ts';
import type { ListRequest } from '../../store/store.ts';
import { badParameter, clip } from './parameters.ts';
import type { Call } from './route.ts';

const DEFAULT_PAGE = 20;
const MAX_PAGE = 100;
const MAX_CURSOR_CHARS = 512;
const MAX_CALLER_CHARS = 64;
const STATUSES: ReadonlySet<string> = new Set<JobStatus>([...TERMINAL, 'starting', 'processing']);

export function single(call: Call, name: string): string | undefined {
  const value = call.query[name];
  if (Array.isArray(value)) throw badParameter(`The query parameter "${name}" is given twice.`);
  return value;
}

/** `caller` is read too: whoever may not see everybody's has to set it to their own. */
export function readJobQuery(call: Call): ListRequest {
  const limit = parseLimit(single(call, 'limit'));
  const cursor = single(call, 'cursor') ?? null;
  if (cursor !== null && cursor.length > MAX_CURSOR_CHARS) throw badParameter('cursor is not one that a page gave.');
  const status = single(call, 'status');
  if (status !== undefined && !STATUSES.has(status)) {
    throw badParameter(`status is "${clip(status)}"; expected one of ${[...STATUSES].join(', ')}.`);
  }
  const model = single(call, 'model')?.replace(/^[^/]*\//, '');
  const caller = single(call, 'caller');
  if (caller !== undefined && caller.length > MAX_CALLER_CHARS) {
    throw badParameter(`caller is "${clip(caller)}"; expected the id of a key.`);
  }
  return {
    limit,
    cursor,
    ...(status === undefined ? {} : { status: status as JobStatus }),
    ...(model === undefined ? {} : { model }),
    ...(caller === undefined ? {} : { caller }),
  };
}

function parseLimit(text: string | undefined): number {
  if (text === undefined) return DEFAULT_PAGE;
  const limit = Number(text);
  if (!/^\d+$/.test(text) || limit < 1 || limit > MAX_PAGE)
    throw badParameter(`limit is "${clip(text)}"; expected 1 to ${MAX_PAGE}.`);
  return limit;
}
