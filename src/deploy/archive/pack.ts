/**
 * Packs a layer twice: first only through the hash, which names it, and then, if no archive of that name is in the cache,
 * through gzip into it. What a layer is called depends on its content alone; one that has not changed costs next to nothing.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { LayerFiles, SourceFile } from './layers.ts';
import { TAR_END, tarHeader, tarPadding } from './ustar.ts';

export interface PackedLayer {
  readonly name: LayerFiles['name'];
  /** SHA-256 of the uncompressed archive: what the layer is, whatever packed it. */
  readonly content: string;
  /** SHA-256 of the archive as it is sent. */
  readonly archive: string;
  /** Of the archive as it is sent. */
  readonly bytes: number;
  readonly unpackedBytes: number;
  readonly files: number;
}

export interface CachedLayer extends PackedLayer {
  readonly file: string;
}

/** Layers in the cache beyond these go, the longest unused first: about a dozen releases, most of whose layers are the same. */
const MAX_CACHED = 24;

export async function packLayer(layer: LayerFiles, cache: string, clock: Clock): Promise<CachedLayer> {
  await mkdir(cache, { recursive: true });
  const content = await contentOf(layer, cache);
  const [file, note] = [join(cache, `${content}.tar.gz`), join(cache, `${content}.json`)];
  const archive = (await useCached(note, file, clock))?.archive ?? (await compress(layer, file, note));
  const { size } = await stat(file);
  return {
    name: layer.name,
    content,
    archive,
    bytes: size,
    unpackedBytes: layer.files.reduce((sum, { bytes }) => sum + bytes, 0),
    files: layer.files.length,
    file,
  };
}

/** Reading 150 MB for each deploy is not needed when no file has another size or time than when they were read last. */
async function contentOf(layer: LayerFiles, cache: string): Promise<string> {
  const digest = createHash('sha256');
  for (const file of layer.files) digest.update(`${JSON.stringify(Object.values(file))}\n`);
  const note = join(cache, `${layer.name}.${digest.digest('hex').slice(0, 32)}.seen`);
  const known = await readFile(note, 'utf8').catch(() => '');
  if (/^[0-9a-f]{64}$/.test(known)) return known;
  const content = await hashOf(tarOf(layer.files));
  await writeFile(note, content);
  return content;
}

async function compress(layer: LayerFiles, file: string, note: string): Promise<string> {
  const draft = `${file}.${randomBytes(4).toString('hex')}.draft`;
  try {
    // 6 is where a smaller archive begins to cost more time than it saves on a line of 10 Mbit/s.
    await pipeline(Readable.from(tarOf(layer.files)), createGzip({ level: 6 }), createWriteStream(draft));
    const archive = await hashOf(createReadStream(draft));
    await rename(draft, file);
    await writeFile(note, JSON.stringify({ archive }));
    return archive;
  } finally {
    await rm(draft, { force: true });
  }
}

/** What the cache says about an archive, marked as used now; null: it has none. */
async function useCached(note: string, file: string, clock: Clock): Promise<{ readonly archive: string } | null> {
  const text = await readFile(note, 'utf8').catch(() => null);
  if (text === null || (await stat(file).catch(() => null)) === null) return null;
  const nowS = clock.now() / 1000;
  await utimes(file, nowS, nowS);
  return JSON.parse(text) as { archive: string };
}

export async function pruneCache(cache: string): Promise<void> {
  const names = await readdir(cache).catch(() => []);
  for (const name of await longestUnused(cache, names, '.tar.gz')) {
    await rm(join(cache, name), { force: true });
    await rm(join(cache, name.replace(/\.tar\.gz$/, '.json')), { force: true });
  }
  for (const name of await longestUnused(cache, names, '.seen')) await rm(join(cache, name), { force: true });
}

/** Those of this ending beyond what is kept. */
async function longestUnused(cache: string, names: readonly string[], ending: string): Promise<string[]> {
  const dated: { readonly name: string; readonly usedAt: number }[] = [];
  for (const name of names.filter((one) => one.endsWith(ending))) {
    // Another build may remove it meanwhile.
    const found = await stat(join(cache, name)).catch(() => null);
    if (found !== null) dated.push({ name, usedAt: found.mtimeMs });
  }
  return dated
    .sort((a, b) => b.usedAt - a.usedAt)
    .slice(MAX_CACHED)
    .map(({ name }) => name);
}

async function* tarOf(files: readonly SourceFile[]): AsyncGenerator<Buffer> {
  for (const file of files) {
    yield tarHeader(file);
    let bytes = 0;
    for await (const chunk of createReadStream(file.from, { highWaterMark: 1 << 20 })) {
      bytes += (chunk as Buffer).length;
      yield chunk as Buffer;
    }
    if (bytes !== file.bytes) {
      throw new PosternError(
        'config_invalid',
        `${file.path} changed while it was packed: deploy again when nothing writes there`,
      );
    }
    yield tarPadding(file.bytes);
  }
  yield TAR_END;
}

async function hashOf(chunks: AsyncIterable<unknown>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of chunks) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
