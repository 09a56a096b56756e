/** For `assert.rejects` and `assert.throws`: a PosternError with this code, and words that match. */
import { PosternError } from '../../src/errors.ts';
import type { ErrorCode } from '../../src/errors.ts';

export const isPosternError =
  (code: ErrorCode, words = /./) =>
  (error: unknown): boolean =>
    error instanceof PosternError && error.code === code && words.test(error.message);
