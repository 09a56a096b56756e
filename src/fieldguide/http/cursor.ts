/** Where a page ended, as the caller carries it to the next request: opaque to the caller, checked when it comes back. */
import { z } from 'zod';
import { PosternError } from '../../errors.ts';

const MAX_CURSOR_CHARACTERS = 400;

export interface CursorForm<T> {
  write(place: T): string;
  /** Throws bad_parameter for anything that no page gave. */
  read(text: string): T;
}

function createCursor<T>(shape: z.ZodType<T>): CursorForm<T> {
  return {
    write: (place) => Buffer.from(JSON.stringify(place)).toString('base64url'),
    read(text) {
      try {
        if (text.length > MAX_CURSOR_CHARACTERS) throw new RangeError('too long');
        return shape.parse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')));
      } catch (cause) {
        throw new PosternError('bad_parameter', 'cursor: expected the `next` of the page before', { cause });
      }
    },
  };
}

const id = z.string().min(1).max(100);
/** Of entries: the last one, and its score where the order is that of a search. */
export const entryCursor = createCursor(z.tuple([id, z.number().nullable()]));
/** Of one's own identifications: when the last one was made, and its id. */
export const listCursor = createCursor(z.tuple([z.int().min(0), id]));
/** Of a ranking: its snapshot, and how many of it were shown. */
export const rankingCursor = createCursor(z.tuple([id, z.int().min(1)]));
