/** A folder as a place of models: a network share, a disk that is carried about, or what a web server serves. */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { PosternError } from '../../errors.ts';
import { placeError, type LocalFile, type ModelPlace } from '../place.ts';

const STEP_BYTES = 1024 * 1024;

export function openFolderModels(address: string): ModelPlace {
  const root = resolve(address);

  async function orNull<T>(doing: string, work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return null;
      throw placeError(error, doing, address);
    }
  }
  const sizeOf = (path: string): Promise<number | null> =>
    orNull('a file could not be looked at', async () => (await stat(join(root, path))).size);

  /** Beside its place, flushed; `settle` then gives it its name. */
  async function written<T>(
    path: string,
    fill: (draft: string) => Promise<void>,
    settle: (draft: string, to: string) => Promise<T>,
  ): Promise<T> {
    const to = join(root, path);
    const draft = `${to}.${randomBytes(6).toString('hex')}.draft`;
    try {
      await mkdir(dirname(to), { recursive: true });
      await fill(draft);
      const made = await settle(draft, to);
      await flush(dirname(to));
      return made;
    } catch (error) {
      throw placeError(error, 'a file could not be written', address);
    } finally {
      await rm(draft, { force: true });
    }
  }

  return {
    address,
    async readSmall(path, maxBytes) {
      const bytes = await sizeOf(path);
      if (bytes === null) return null;
      if (bytes > maxBytes) {
        throw new PosternError('model_invalid', `${path} has ${bytes} bytes, at most ${maxBytes} are read`);
      }
      return orNull('a file could not be read', () => readFile(join(root, path)));
    },
    read: (path, from, signal) =>
      orNull('a file could not be read', async () => {
        const file = await open(join(root, path), 'r');
        return { from, content: file.createReadStream({ start: from, highWaterMark: STEP_BYTES, signal }) };
      }),
    async folders(path) {
      const entries = await orNull('a folder could not be read', () =>
        readdir(join(root, path), { withFileTypes: true }),
      );
      return (entries ?? []).filter((entry) => entry.isDirectory()).map(({ name }) => name);
    },
    write: {
      sizeOf,
      async sendFile(path, file, onBytes) {
        await written(path, (draft) => copy(file, draft, onBytes), rename);
        return file.bytes;
      },
      create: (path, content) =>
        written(
          path,
          async (draft) => {
            const file = await open(draft, 'wx');
            try {
              await file.writeFile(content);
              await file.sync();
            } finally {
              await file.close();
            }
          },
          // link refuses to replace, which rename does not.
          (draft, to) =>
            link(draft, to).then(
              () => true,
              (error: NodeJS.ErrnoException) => {
                if (error.code === 'EEXIST') return false;
                throw error;
              },
            ),
        ),
    },
    close: () => undefined,
  };
}

async function copy(from: LocalFile, to: string, onBytes: (bytes: number) => void): Promise<void> {
  const file = await open(to, 'wx');
  try {
    await pipeline(createReadStream(from.path, { highWaterMark: STEP_BYTES }), async (parts: AsyncIterable<Buffer>) => {
      for await (const part of parts) {
        await file.writeFile(part);
        onBytes(part.byteLength);
      }
    });
    await file.sync();
  } finally {
    await file.close();
  }
}

async function flush(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
