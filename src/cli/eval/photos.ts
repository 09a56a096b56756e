/** Where the photos' bytes come from: the folder of the manifest, or `photos.tar` beside it, read in place. */
import { open, readFile, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PosternError } from '../../errors.ts';
import { indexTar } from './tar.ts';

export interface PhotoSource {
  read(file: string): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/** Takes the folder when it has the first photo, else the archive. `exampleFile` is one name of the manifest. */
export async function openPhotos(manifest: string, exampleFile: string): Promise<PhotoSource> {
  const folder = dirname(manifest);
  if (await exists(join(folder, exampleFile))) {
    return { read: (file) => readFile(join(folder, file)), close: () => Promise.resolve() };
  }
  const archive = join(folder, 'photos.tar');
  if (!(await exists(archive))) {
    throw new PosternError('config_invalid', `beside ${manifest} there is neither ${exampleFile} nor photos.tar`);
  }
  return fromArchive(archive, await open(archive));
}

async function fromArchive(archive: string, handle: FileHandle): Promise<PhotoSource> {
  const index = await indexTar(handle).catch(async (error: unknown) => {
    await handle.close();
    throw error;
  });
  return {
    async read(file) {
      const entry = index.get(file);
      if (entry === undefined) throw new PosternError('missing_input', `${archive} does not hold ${file}`);
      const bytes = new Uint8Array(entry.bytes);
      const { bytesRead } = await handle.read(bytes, 0, entry.bytes, entry.offset);
      if (bytesRead !== entry.bytes) throw new PosternError('missing_input', `${archive} ends inside ${file}`);
      return bytes;
    },
    close: () => handle.close(),
  };
}

const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );
