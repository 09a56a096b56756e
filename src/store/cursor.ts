import { PosternError } from '../errors.ts';

/** The place in a list that a page gave: the sequence number of its last job. Throws bad_parameter for anything else. */
export function parseCursor(cursor: string): number {
  if (!/^\d{1,16}$/.test(cursor)) {
    throw new PosternError('bad_parameter', 'the cursor must be the one that the previous page gave');
  }
  return Number(cursor);
}
