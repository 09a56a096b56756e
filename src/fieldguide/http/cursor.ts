/** Where a page ended, as the caller carries it to the next request: opaque to the caller, checked when it comes back. */
import { z } from 'zod';
import { PosternError } from '../../errors.ts';
import type { Position } from '../guide/guide.ts';

const shape = z.tuple([z.string().min(1).max(100), z.number().nullable()]);
const MAX_CURSOR_CHARACTERS = 400;

export const writeCursor = ({ id, score }: Position): string =>
  Buffer.from(JSON.stringify([id, score])).toString('base64url');

/** Throws bad_parameter for anything that no page gave. */
export function readCursor(text: string): Position {
  try {
    if (text.length > MAX_CURSOR_CHARACTERS) throw new RangeError('too long');
    const [id, score] = shape.parse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')));
    return { id, score };
  } catch (cause) {
    throw new PosternError('bad_parameter', 'cursor: expected the `next` of the page before', { cause });
  }
}
