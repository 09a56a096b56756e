/** What the disk said, in the words of the one table of codes. */
import { PosternError } from '../errors.ts';

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

export function storageError(thrown: unknown, doing: string): PosternError {
  if (thrown instanceof PosternError) return thrown;
  const { code = 'unknown', message = String(thrown) } = thrown as NodeJS.ErrnoException;
  if (FULL.has(code)) {
    return new PosternError('storage_full', `${doing}: the disk is full (${code}): free some space`, { cause: thrown });
  }
  return new PosternError('storage_failed', `${doing}: ${message}`, { cause: thrown });
}
