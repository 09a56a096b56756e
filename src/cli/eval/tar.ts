/** Finds the files inside an uncompressed tar archive (ustar, with GNU and pax long names) without unpacking it. */
import type { FileHandle } from 'node:fs/promises';
import { PosternError } from '../../errors.ts';

export interface TarEntry {
  readonly offset: number;
  readonly bytes: number;
}

const BLOCK_BYTES = 512;
/** A name longer than this is not a photo's. */
const MAX_NAME_BYTES = 65_536;
const MAX_ENTRIES = 1_000_000;

/** Name → place. Throws missing_input when it is not a tar archive, or ends too early. */
export async function indexTar(handle: Pick<FileHandle, 'read'>): Promise<Map<string, TarEntry>> {
  const index = new Map<string, TarEntry>();
  const header = Buffer.alloc(BLOCK_BYTES);
  let position = 0;
  let longName: string | null = null;
  for (let entries = 0; entries < MAX_ENTRIES; entries += 1) {
    const { bytesRead } = await handle.read(header, 0, BLOCK_BYTES, position);
    // Two blocks of zeros end an archive; some writers leave them out.
    if (bytesRead === 0 || header.every((byte) => byte === 0)) return index;
    if (bytesRead < BLOCK_BYTES || !checksumHolds(header)) {
      throw new PosternError('missing_input', `photos.tar is damaged at byte ${position}: expected a tar header`);
    }
    const bytes = octal(header, 124, 12);
    const offset = position + BLOCK_BYTES;
    const type = String.fromCharCode(header[156] ?? 0);
    if (type === 'L' || type === 'x') {
      const body = Buffer.alloc(Math.min(bytes, MAX_NAME_BYTES));
      await handle.read(body, 0, body.length, offset);
      longName =
        (type === 'L' ? text(body, 0, body.length) : /\d+ path=([^\n]*)\n/.exec(body.toString())?.[1]) ?? longName;
    } else {
      if (type === '0' || type === '\0') index.set(longName ?? shortName(header), { offset, bytes });
      longName = null;
    }
    position = offset + Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
  }
  throw new PosternError('missing_input', `photos.tar has more than ${MAX_ENTRIES} entries`);
}

function shortName(header: Buffer): string {
  const prefix = header.toString('latin1', 257, 262) === 'ustar' ? text(header, 345, 155) : '';
  const name = text(header, 0, 100);
  return (prefix === '' ? name : `${prefix}/${name}`).replace(/^\.\//, '');
}

function text(block: Buffer, start: number, length: number): string {
  const field = block.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end === -1 ? length : end);
}

function octal(header: Buffer, start: number, length: number): number {
  const digits = text(header, start, length).trim();
  if (!/^[0-7]+$/.test(digits))
    throw new PosternError('missing_input', 'photos.tar has an entry without a readable size');
  return Number.parseInt(digits, 8);
}

/** The sum of the header's bytes, with the checksum's own eight counted as spaces. */
function checksumHolds(header: Buffer): boolean {
  let sum = 8 * 0x20;
  for (const [i, byte] of header.entries()) if (i < 148 || i >= 156) sum += byte;
  const stated = text(header, 148, 8).trim();
  return /^[0-7]+$/.test(stated) && Number.parseInt(stated, 8) === sum;
}
