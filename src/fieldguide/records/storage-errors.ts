/** What a database says when it cannot keep something, in the words of the one table of codes. */
import { PosternError } from '../../errors.ts';

/** SQLITE_FULL, and PostgreSQL's disk_full. */
const FULL: ReadonlySet<unknown> = new Set([13, '53100']);

/** The same functions, whose rejections are PosternErrors. */
export function storageErrors<T extends object>(functions: T): T {
  const wrapped = Object.entries(functions).map(([name, call]: [string, unknown]) => [
    name,
    async (...parameters: unknown[]): Promise<unknown> => {
      try {
        return await (call as (...parameters: unknown[]) => Promise<unknown>)(...parameters);
      } catch (thrown) {
        throw storageError(thrown);
      }
    },
  ]);
  return Object.fromEntries(wrapped) as T;
}

function storageError(thrown: unknown): PosternError {
  if (thrown instanceof PosternError) return thrown;
  const { errcode, code, message } = thrown as { errcode?: unknown; code?: unknown; message?: string };
  const isFull = FULL.has(errcode) || FULL.has(code);
  const text = `the records of the field guide cannot be used: ${message ?? String(thrown)}`;
  return new PosternError(isFull ? 'storage_full' : 'storage_failed', text, { cause: thrown });
}
