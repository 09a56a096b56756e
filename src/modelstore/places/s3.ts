/**
 * A bucket as a place of models. Large files go up in parts of a size that follows from theirs alone, so that a push which
 * was killed finds the parts that are there and sends the others.
 */
import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { isMissingObject, openS3, s3Error, type S3Connection, type S3Place } from '../../blobs/s3-client.ts';
import { forEachConcurrently } from '../../concurrency.ts';
import { PosternError } from '../../errors.ts';
import type { LocalFile, ModelPlace } from '../place.ts';

const MIB = 1024 * 1024;
/** S3 takes 5 MiB to 5 GiB a part, and 10,000 parts. */
const PART_BYTES = 16 * MIB;
const MAX_PARTS = 10_000;
/** Each of them in memory. */
const PARTS_AT_ONCE = 3;
const PAGE = 1_000;

export async function openS3Models(address: string, place: S3Place): Promise<ModelPlace> {
  const s3 = await openS3(place);
  const { client, sdk } = s3;
  const objectOf = (path: string): { Bucket: string; Key: string } => ({ Bucket: place.bucket, Key: s3.keyOf(path) });

  async function orFail<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw modelError(error, doing, place);
    }
  }
  const orNull = <T>(doing: string, work: () => Promise<T>): Promise<T | null> =>
    orFail(doing, () =>
      work().catch((error: unknown) => {
        if (isMissingObject(error)) return null;
        throw error;
      }),
    );
  const sizeOf = (path: string): Promise<number | null> =>
    orNull('a file could not be looked at', async () => {
      return (await client.send(new sdk.HeadObjectCommand(objectOf(path)))).ContentLength ?? 0;
    });

  return {
    address,
    async readSmall(path, maxBytes) {
      return orNull(`${path} could not be read`, async () => {
        const { Body, ContentLength = 0 } = await client.send(new sdk.GetObjectCommand(objectOf(path)));
        if (ContentLength > maxBytes) {
          (Body as Readable).destroy();
          throw new PosternError('model_invalid', `${path} has ${ContentLength} bytes, at most ${maxBytes} are read`);
        }
        return Buffer.concat(await (Body as Readable).toArray());
      });
    },
    read: (path, from, signal) =>
      orNull(`${path} could not be read`, async () => {
        const range = from === 0 ? {} : { Range: `bytes=${from}-` };
        const { Body } = await client.send(new sdk.GetObjectCommand({ ...objectOf(path), ...range }), {
          abortSignal: signal,
        });
        return { from, content: Body as Readable };
      }),
    folders: (path) => orFail('a folder could not be listed', () => folders(s3, path)),
    write: {
      sizeOf,
      sendFile: (path, file, onBytes) =>
        orFail(`${path} could not be sent`, () => sendFile(s3, objectOf(path), file, onBytes)),
      create: (path, content) =>
        orFail(`${path} could not be written`, async () => {
          try {
            const command = { ...objectOf(path), Body: content, IfNoneMatch: '*' };
            await client.send(new sdk.PutObjectCommand(command));
            return true;
          } catch (error) {
            if ((error as { name?: string }).name === 'PreconditionFailed') return false;
            throw error;
          }
        }),
    },
    close: () => s3.close(),
  };
}

/** What is said of a blob store is said of a model store too, but for the code. */
function modelError(error: unknown, doing: string, place: S3Place): PosternError {
  const known = s3Error(error, doing, place);
  if (known.code !== 'storage_failed') return known;
  return new PosternError('model_store_failed', known.message, { cause: error });
}

async function folders({ client, sdk, place, keyOf }: S3Connection, path: string): Promise<string[]> {
  const root = path === '' ? (place.prefix === '' ? '' : `${place.prefix}/`) : `${keyOf(path)}/`;
  const names: string[] = [];
  for (let token: string | undefined; ;) {
    const page = await client.send(
      new sdk.ListObjectsV2Command({
        Bucket: place.bucket,
        Prefix: root,
        Delimiter: '/',
        MaxKeys: PAGE,
        ContinuationToken: token,
      }),
    );
    for (const { Prefix = '' } of page.CommonPrefixes ?? []) names.push(Prefix.slice(root.length, -1));
    token = page.NextContinuationToken;
    if (token === undefined || page.IsTruncated !== true) return names;
  }
}

interface ObjectAt {
  readonly Bucket: string;
  readonly Key: string;
}

/** Follows from the size alone: another try finds the same parts. */
function partBytes(bytes: number): number {
  return Math.max(PART_BYTES, Math.ceil(bytes / MAX_PARTS / MIB) * MIB);
}

async function sendFile(
  s3: S3Connection,
  at: ObjectAt,
  file: LocalFile,
  onBytes: (n: number) => void,
): Promise<number> {
  const handle = await open(file.path, 'r');
  try {
    if (file.bytes > partBytes(file.bytes)) return await sendParts(s3, at, file, handle, onBytes);
    const Body = await readAt(handle, 0, file.bytes);
    const ChecksumSHA256 = Buffer.from(file.sha256, 'hex').toString('base64');
    await s3.client.send(new s3.sdk.PutObjectCommand({ ...at, Body, ChecksumSHA256 }));
    onBytes(file.bytes);
    return file.bytes;
  } finally {
    await handle.close();
  }
}

async function sendParts(
  s3: S3Connection,
  at: ObjectAt,
  file: LocalFile,
  handle: FileHandle,
  onBytes: (n: number) => void,
): Promise<number> {
  const { client, sdk } = s3;
  const size = partBytes(file.bytes);
  const count = Math.ceil(file.bytes / size);
  const sizeOf = (part: number): number => Math.min(size, file.bytes - (part - 1) * size);
  const UploadId = (await unfinished(s3, at)) ?? (await client.send(new sdk.CreateMultipartUploadCommand(at))).UploadId;
  const there = new Map<number, string>();
  for (let PartNumberMarker: string | undefined; ;) {
    const page = await client.send(new sdk.ListPartsCommand({ ...at, UploadId, MaxParts: PAGE, PartNumberMarker }));
    for (const { PartNumber = 0, ETag = '', Size = 0 } of page.Parts ?? []) {
      if (PartNumber >= 1 && PartNumber <= count && Size === sizeOf(PartNumber)) there.set(PartNumber, ETag);
    }
    PartNumberMarker = page.NextPartNumberMarker;
    if (page.IsTruncated !== true || PartNumberMarker === undefined) break;
  }
  for (const part of there.keys()) onBytes(sizeOf(part));
  const missing = Array.from({ length: count }, (_, index) => index + 1).filter((part) => !there.has(part));
  await forEachConcurrently(missing, PARTS_AT_ONCE, async (PartNumber) => {
    const Body = await readAt(handle, (PartNumber - 1) * size, sizeOf(PartNumber));
    // Every server that speaks S3 compares it with what arrived.
    const ContentMD5 = createHash('md5').update(Body).digest('base64');
    const { ETag = '' } = await client.send(
      new sdk.UploadPartCommand({ ...at, UploadId, PartNumber, Body, ContentMD5 }),
    );
    there.set(PartNumber, ETag);
    onBytes(Body.byteLength);
  });
  const Parts = [...there].sort(([a], [b]) => a - b).map(([PartNumber, ETag]) => ({ PartNumber, ETag }));
  await client.send(new sdk.CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts } }));
  return missing.reduce((sum, part) => sum + sizeOf(part), 0);
}

/** The name of the file is its content, so that an upload which somebody began under it is an upload of the same bytes. */
async function unfinished({ client, sdk }: S3Connection, at: ObjectAt): Promise<string | undefined> {
  const { Uploads = [] } = await client.send(
    new sdk.ListMultipartUploadsCommand({ Bucket: at.Bucket, Prefix: at.Key, MaxUploads: PAGE }),
  );
  return Uploads.filter(({ Key }) => Key === at.Key).at(-1)?.UploadId;
}

async function readAt(handle: FileHandle, position: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(bytes);
  let at = 0;
  while (at < bytes) {
    const { bytesRead } = await handle.read(buffer, at, bytes - at, position + at);
    if (bytesRead === 0)
      throw new PosternError('model_invalid', 'a file of the model became shorter while it was sent: push again');
    at += bytesRead;
  }
  return buffer;
}
