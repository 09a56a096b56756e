/**
 * Blobs as objects of a bucket: `<prefix>/blobs/<key>/<stamp>`. Owner of everything under `<prefix>/blobs/` and
 * `<prefix>/drafts/`.
 *
 * Each put makes an object with a name of its own: the stamp is the time of the put and some random digits, so the last name
 * in the order of names is the latest put. S3 can neither rename nor delete on the condition that an object is still the
 * one that was looked at (the same bytes have the same ETag); with names that are never used twice it need not: a removal
 * deletes the names that it saw, and a put at the same moment made another one. A put deletes earlier names of its key
 * afterwards, so that the same bytes are soon kept once; a reader whose name has gone looks for a newer one.
 *
 * What is too large to be held in memory until its name is known goes to `drafts/` in parts, and is copied inside S3. Drafts
 * and parts that a killed process left behind are removed by the lifecycle rules in `docs/storage.md`, not by us.
 */
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import { createService } from '../service.ts';
import { checkBlobKey, type BlobInfo, type BlobKey, type BlobStore, type RemoveOptions } from './blobs.ts';
import { digest } from './digest.ts';
import { isConflict, isMissingObject, openS3, s3Error, type S3Connection, type S3Place } from './s3-client.ts';
import { createS3Direct } from './s3-direct.ts';

export interface S3BlobsOptions {
  readonly place: S3Place;
  readonly clock: Clock;
}

/** Up to here one request carries it, and memory holds it; beyond, parts of this size go out as they come. */
const PART_BYTES = 8 * 1024 * 1024;
/** Parts of one upload under way at once, each of them in memory. */
const PARTS_AT_ONCE = 3;
/** What one request of S3 copies at most, and far above every payload here. */
const MAX_BLOB_BYTES = 5 * 1024 * 1024 * 1024;
/** Hashed in steps of this size: 1 MiB of SHA-256 is about a millisecond of the event loop. */
const STEP_BYTES = 1024 * 1024;
/** What a page of S3 holds at most. */
const PAGE_OBJECTS = 1_000;
/** Names of puts remembered, so that a read soon after needs no search. 10,000 × some 200 bytes are 2 MB. */
const MAX_REMEMBERED = 10_000;
/** A request beside a put can be in its way, such as the removal of the last other copy, where objects are files of folders. */
const MAX_PUT_TRIES = 5;
/** A name can go between search and read when somebody puts the same again; so often in a row it does not. */
const READ_ROUNDS = 5;
/** Milliseconds since 1970 in base 36: eight digits until 2059, nine until the year 5188. */
const STAMP_DIGITS = 9;
const NAME = /^([0-9a-f]{64})\/([0-9a-z]{9})-[0-9a-f]{12}$/;

interface Version {
  readonly name: string;
  readonly key: BlobKey;
  readonly bytes: number;
  readonly putAt: number;
}

export function createS3Blobs({ place, clock }: S3BlobsOptions): BlobStore {
  let opened: S3Connection | undefined;
  const remembered = new Map<BlobKey, string>();
  const thinning = new Set<Promise<void>>();

  function s3(): S3Connection {
    if (opened) return opened;
    throw new PosternError('storage_failed', 'the blob store is not started');
  }

  const objectOf = (name: string): { Bucket: string; Key: string } => ({
    Bucket: place.bucket,
    Key: s3().keyOf(`blobs/${name}`),
  });

  async function orFail<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw s3Error(error, doing, place);
    }
  }

  async function orNull<T>(doing: string, work: () => Promise<T>): Promise<T | null> {
    return orFail(doing, () =>
      work().catch((error: unknown) => {
        if (isMissingObject(error)) return null;
        throw error;
      }),
    );
  }

  /** Objects in the order of their names, from after `after`; `more` says whether there may be others. */
  async function page(
    prefix: string,
    after: string | null,
    limit: number,
  ): Promise<{ found: Version[]; more: boolean }> {
    const { client, sdk, keyOf } = s3();
    const root = keyOf('blobs/');
    const answer = await orFail('the payloads could not be listed', () =>
      client.send(
        new sdk.ListObjectsV2Command({
          Bucket: place.bucket,
          Prefix: root + prefix,
          MaxKeys: limit,
          ...(after === null ? {} : { StartAfter: root + after }),
        }),
      ),
    );
    const found = (answer.Contents ?? []).flatMap(({ Key = '', Size = 0 }) => versionOf(Key.slice(root.length), Size));
    return { found, more: answer.IsTruncated === true };
  }

  /** Of one key, the latest put last. */
  async function versionsOf(key: BlobKey): Promise<Version[]> {
    const { found } = await page(`${checkBlobKey(key)}/`, null, PAGE_OBJECTS);
    return found;
  }

  async function put(content: Uint8Array | AsyncIterable<Uint8Array>): Promise<BlobKey> {
    return orFail('a payload could not be written', async () => {
      const { name, key } = await (content instanceof Uint8Array ? putBytes(content) : putStream(content));
      remember(key, name);
      const work = thin(key, name).finally(() => thinning.delete(work));
      thinning.add(work);
      return key;
    });
  }

  const newName = (key: BlobKey): string =>
    `${key}/${clock.now().toString(36).padStart(STAMP_DIGITS, '0')}-${randomBytes(6).toString('hex')}`;

  async function putBytes(bytes: Uint8Array): Promise<{ key: BlobKey; name: string }> {
    const key = await digest(bytes);
    const { client, sdk } = s3();
    // S3 counts the same digest over what arrived, and refuses when it differs.
    const ChecksumSHA256 = Buffer.from(key, 'hex').toString('base64');
    for (let tries = 1; ; tries += 1) {
      const name = newName(key);
      try {
        await client.send(new sdk.PutObjectCommand({ ...objectOf(name), Body: bytes, ChecksumSHA256 }));
        return { key, name };
      } catch (error) {
        if (!isConflict(error) || tries === MAX_PUT_TRIES) throw error;
      }
    }
  }

  async function putStream(content: AsyncIterable<Uint8Array>): Promise<{ key: BlobKey; name: string }> {
    const parts = content[Symbol.asyncIterator]();
    const first: Uint8Array[] = [];
    let bytes = 0;
    while (bytes <= PART_BYTES) {
      const next = await parts.next();
      if (next.done === true) return putBytes(Buffer.concat(first));
      first.push(next.value);
      bytes += next.value.byteLength;
    }
    return putLarge(first, parts);
  }

  async function putLarge(
    first: readonly Uint8Array[],
    rest: AsyncIterator<Uint8Array>,
  ): Promise<{ key: BlobKey; name: string }> {
    const hash = createHash('sha256');
    let bytes = 0;
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const part of joined(first, rest)) {
        bytes += part.byteLength;
        if (bytes > MAX_BLOB_BYTES) {
          throw new PosternError('storage_failed', `a payload has more than ${MAX_BLOB_BYTES} bytes`);
        }
        hash.update(part);
        yield part;
      }
    }
    const { client, sdk, keyOf } = s3();
    const draft = { Bucket: place.bucket, Key: keyOf(`drafts/${randomBytes(12).toString('hex')}`) };
    const { Upload } = await import('@aws-sdk/lib-storage');
    const Body = Readable.from(counted(), { objectMode: false, highWaterMark: STEP_BYTES });
    const params = { ...draft, Body };
    try {
      // On a failure the library takes the parts back.
      await new Upload({ client, params, partSize: PART_BYTES, queueSize: PARTS_AT_ONCE }).done();
    } finally {
      Body.destroy();
    }
    try {
      const key = hash.digest('hex');
      const name = newName(key);
      const CopySource = `${draft.Bucket}/${draft.Key.split('/').map(encodeURIComponent).join('/')}`;
      await client.send(new sdk.CopyObjectCommand({ ...objectOf(name), CopySource }));
      return { key, name };
    } finally {
      await client.send(new sdk.DeleteObjectCommand(draft)).catch(() => undefined);
    }
  }

  function remember(key: BlobKey, name: string): void {
    remembered.delete(key);
    remembered.set(key, name);
    const [oldest] = remembered.keys();
    if (remembered.size > MAX_REMEMBERED && oldest !== undefined) remembered.delete(oldest);
  }

  /** Takes earlier puts of the same bytes away. Whoever fails here leaves a copy too many, which costs room and nothing else. */
  async function thin(key: BlobKey, name: string): Promise<void> {
    try {
      await removeNames((await versionsOf(key)).filter((version) => version.name < name));
    } catch {
      // The next put of the same bytes, or the removal of all of them, does it.
    }
  }

  async function removeNames(versions: readonly Version[]): Promise<void> {
    const { client, sdk } = s3();
    for (const { name } of versions) {
      await orFail('a payload could not be removed', () =>
        client.send(new sdk.DeleteObjectCommand(objectOf(name))).then(() => undefined),
      );
    }
  }

  /** Looks at the latest put of a key; null: there is none. */
  async function latest<T>(key: BlobKey, look: (name: string) => Promise<T>): Promise<T | null> {
    const known = remembered.get(checkBlobKey(key));
    for (let round = 0; round < READ_ROUNDS; round += 1) {
      const name = round === 0 && known !== undefined ? known : (await versionsOf(key)).at(-1)?.name;
      if (name === undefined) return null;
      const found = await orNull(`the blob ${key} could not be read`, () => look(name));
      if (found !== null) return found;
      if (remembered.get(key) === name) remembered.delete(key);
    }
    throw new PosternError('storage_failed', `the blob ${key} is replaced faster than it can be read: try again`);
  }

  const open = async (name: string): Promise<Readable> => {
    const { client, sdk } = s3();
    const { Body } = await client.send(new sdk.GetObjectCommand(objectOf(name)));
    return Body as Readable;
  };

  async function get(key: BlobKey): Promise<Uint8Array | null> {
    const bytes = await latest(key, async (name) => Buffer.concat(await (await open(name)).toArray()));
    if (bytes !== null && (await digest(bytes)) !== key) {
      throw new PosternError(
        'storage_failed',
        `the blob ${key} does not hold what its name says: the bucket changed it`,
      );
    }
    return bytes;
  }

  async function removeUnused(key: BlobKey, { putBefore, isUsed }: RemoveOptions): Promise<boolean> {
    const versions = await versionsOf(key);
    const newest = versions.at(-1);
    if (newest === undefined || newest.putAt >= putBefore || (await isUsed(key))) return false;
    await removeNames(versions);
    return true;
  }

  async function list(after: BlobKey | null, limit: number): Promise<BlobInfo[]> {
    // A tilde stands behind every stamp.
    let from = after === null ? null : `${checkBlobKey(after)}/~`;
    const found = new Map<BlobKey, BlobInfo>();
    for (;;) {
      const { found: versions, more } = await page('', from, PAGE_OBJECTS);
      for (const { key, bytes, putAt } of versions) {
        // One key beyond the limit shows that the last one within it is complete.
        if (!found.has(key) && found.size === limit) return [...found.values()];
        found.set(key, { key, bytes, putAt });
      }
      const last = versions.at(-1);
      if (!more || last === undefined) return [...found.values()];
      from = last.name;
    }
  }

  const service = createService({
    async start() {
      opened = await openS3(place);
      // Says at the start, and not at the first job, that the bucket or the credentials are wrong.
      await page('', null, 1);
    },
    async stop() {
      await Promise.all(thinning);
      opened?.close();
      opened = undefined;
    },
  });

  return {
    ...service,
    put,
    get,
    stream: (key) => latest(key, open),
    has: async (key) => (await versionsOf(key)).length > 0,
    async delete(key) {
      const versions = await versionsOf(key);
      await removeNames(versions);
      return versions.length > 0;
    },
    removeUnused,
    list,
    direct: createS3Direct({
      connection: s3,
      latestName: async (key) => {
        const name = (await versionsOf(key)).at(-1)?.name;
        return name === undefined ? null : `blobs/${name}`;
      },
    }),
  };
}

function versionOf(name: string, bytes: number): Version[] {
  const match = NAME.exec(name);
  const [key, stamp] = [match?.[1], match?.[2]];
  return key === undefined || stamp === undefined ? [] : [{ name, key, bytes, putAt: parseInt(stamp, 36) }];
}

async function* joined(first: readonly Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* first;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}
