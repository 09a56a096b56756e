/**
 * What a browser may do with the bucket itself: send one file with a signed form (POST with a policy, whose size and type
 * S3 checks), and read one blob by a signed address. Owner of everything under `<prefix>/incoming/`; what nobody fetched
 * from there is removed by the lifecycle rule in `docs/storage.md`.
 */
import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import { checkUploadName, type BlobKey, type DirectAccess, type UploadName } from './blobs.ts';
import { isMissingObject, s3Error, type S3Connection } from './s3-client.ts';

export interface S3DirectOptions {
  readonly connection: () => S3Connection;
  /** The object of a blob, under the prefix; null: there is none. */
  readonly latestName: (key: BlobKey) => Promise<string | null>;
}

/** What a signature of S3 may live at most. */
const MAX_EXPIRES_S = 7 * 86_400;

export function createS3Direct({ connection, latestName }: S3DirectOptions): DirectAccess {
  const objectOf = (name: string): { Bucket: string; Key: string } => {
    const { place, keyOf } = connection();
    return { Bucket: place.bucket, Key: keyOf(name) };
  };
  const uploadOf = (upload: UploadName) => objectOf(`incoming/${checkUploadName(upload)}`);

  async function orNull<T>(doing: string, work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      if (isMissingObject(error)) return null;
      throw s3Error(error, doing, connection().place);
    }
  }

  return {
    async offerUpload({ contentType, minBytes, maxBytes, expiresS }) {
      const { client } = connection();
      const { createPresignedPost } = await import('@aws-sdk/s3-presigned-post');
      const upload = randomBytes(16).toString('hex');
      const { url, fields } = await createPresignedPost(client, {
        ...uploadOf(upload),
        Fields: { 'Content-Type': contentType },
        Conditions: [
          ['content-length-range', minBytes, maxBytes],
          ['eq', '$Content-Type', contentType],
        ],
        Expires: Math.min(expiresS, MAX_EXPIRES_S),
      });
      return { url, fields, upload };
    },
    async readUpload(upload) {
      const object = uploadOf(upload);
      const { client, sdk } = connection();
      return orNull('an upload could not be read', async () => {
        const { Body } = await client.send(new sdk.GetObjectCommand(object));
        return Body as Readable;
      });
    },
    async removeUpload(upload) {
      const object = uploadOf(upload);
      const { client, sdk } = connection();
      const there = await orNull('an upload could not be found', () => client.send(new sdk.HeadObjectCommand(object)));
      if (there === null) return false;
      await orNull('an upload could not be removed', () => client.send(new sdk.DeleteObjectCommand(object)));
      return true;
    },
    async linkTo(key, { expiresS, contentType }) {
      const name = await latestName(key);
      if (name === null) return null;
      const { client, sdk } = connection();
      const { getSignedUrl } = await import('@aws-sdk/s3-request-presigner');
      const command = new sdk.GetObjectCommand({
        ...objectOf(name),
        ...(contentType === undefined ? {} : { ResponseContentType: contentType }),
      });
      return getSignedUrl(client, command, { expiresIn: Math.min(expiresS, MAX_EXPIRES_S) });
    },
  };
}
