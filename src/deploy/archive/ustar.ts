/**
 * Writes tar archives (POSIX ustar) that are the same bytes for the same files, whoever packs them and when: owner 0, time 0,
 * one of two modes. Only regular files, because nothing else belongs into a release; folders come from the paths.
 */
import { PosternError } from '../../errors.ts';

export interface TarFile {
  /** Where it will lie, with `/` between the parts and none in front. */
  readonly path: string;
  readonly executable: boolean;
  readonly bytes: number;
}

const BLOCK_BYTES = 512;
/** Two blocks of zeros. */
export const TAR_END: Buffer = Buffer.alloc(2 * BLOCK_BYTES);

/** What follows a file's content, so that the next header begins at a block. */
export const tarPadding = (bytes: number): Buffer => Buffer.alloc((BLOCK_BYTES - (bytes % BLOCK_BYTES)) % BLOCK_BYTES);

/** Throws config_invalid for a path that the format has no room for. */
export function tarHeader({ path, executable, bytes }: TarFile): Buffer {
  const { prefix, name } = splitPath(path);
  const header = Buffer.alloc(BLOCK_BYTES);
  header.write(name, 0, 100, 'utf8');
  header.write(executable ? '0000755\0' : '0000644\0', 100, 'latin1');
  header.write('0000000\0', 108, 'latin1');
  header.write('0000000\0', 116, 'latin1');
  header.write(`${bytes.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  header.write('00000000000\0', 136, 'latin1');
  header.write(' '.repeat(8), 148, 'latin1');
  header.write('0', 156, 'latin1');
  header.write('ustar\u000000', 257, 'latin1');
  header.write(prefix, 345, 155, 'utf8');
  // The sum of the header's bytes, the checksum's own eight counted as the spaces that stand there.
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

/** A name of at most 100 bytes, and before it, cut at a slash, a prefix of at most 155. */
function splitPath(path: string): { readonly prefix: string; readonly name: string } {
  if (Buffer.byteLength(path) <= 100) return { prefix: '', name: path };
  for (let cut = path.indexOf('/'); cut !== -1; cut = path.indexOf('/', cut + 1)) {
    const [prefix, name] = [path.slice(0, cut), path.slice(cut + 1)];
    if (Buffer.byteLength(name) <= 100 && Buffer.byteLength(prefix) <= 155) return { prefix, name };
  }
  throw new PosternError(
    'config_invalid',
    `${path} is too long for a release (255 bytes, and 100 after the last slash at most): shorten its name`,
  );
}
