/**
 * A connection to S3, or to what speaks it: where, with which time limits, and what its errors mean here. The library is
 * imported when one is opened and not before, because most installations have no S3.
 *
 * Who we are is found as the library finds it: the environment, a profile, or the role of the machine.
 */
import type * as Sdk from '@aws-sdk/client-s3';
import { PosternError } from '../errors.ts';

export interface S3Place {
  readonly bucket: string;
  /** Without a slash at either end; empty: the bucket is ours. */
  readonly prefix: string;
  /** Base URL of a server that speaks S3; null: Amazon's. */
  readonly endpoint: string | null;
  /** null: what the environment or the profile says, and `us-east-1` where there is an endpoint and it does not matter. */
  readonly region: string | null;
  /** `endpoint/bucket/…` in place of `bucket.endpoint/…`. */
  readonly pathStyle: boolean;
}

export interface S3Connection {
  readonly client: Sdk.S3Client;
  readonly sdk: typeof Sdk;
  readonly place: S3Place;
  /** Under the prefix. */
  readonly keyOf: (name: string) => string;
  close(): void;
}

const CONNECT_MS = 5_000;
/** A connection on which nothing moves for so long is given up, and the request tried again. */
const SILENCE_MS = 30_000;
const MAX_ATTEMPTS = 3;
/** More requests wait for a free socket. */
const MAX_SOCKETS = 64;

/** The whole of a bucket's name as Amazon has them; others are not stricter. */
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const PREFIX = /^[A-Za-z0-9!_.*'()-]+(\/[A-Za-z0-9!_.*'()-]+)*$/;

/** `s3://bucket/some/prefix`; null: it is not of that form. */
export function parseS3Url(text: string): { readonly bucket: string; readonly prefix: string } | null {
  const match = /^s3:\/\/([^/?#]+)(?:\/([^?#]*?))?\/?$/.exec(text);
  const bucket = match?.[1] ?? '';
  const prefix = match?.[2] ?? '';
  if (!BUCKET.test(bucket) || (prefix !== '' && !PREFIX.test(prefix)) || prefix.length > 200) return null;
  if (prefix.split('/').some((step) => step === '.' || step === '..')) return null;
  return { bucket, prefix };
}

/** A folder of it, for what is kept apart. */
export const placeUnder = (place: S3Place, folder: string): S3Place => {
  return { ...place, prefix: place.prefix === '' ? folder : `${place.prefix}/${folder}` };
};

/** Opens no connection yet: the first request does. */
export async function openS3(place: S3Place): Promise<S3Connection> {
  const sdk = await import('@aws-sdk/client-s3');
  const region = place.region ?? (place.endpoint === null ? null : 'us-east-1');
  const config: Sdk.S3ClientConfig = {
    ...(region === null ? {} : { region }),
    ...(place.endpoint === null ? {} : { endpoint: place.endpoint }),
    forcePathStyle: place.pathStyle,
    maxAttempts: MAX_ATTEMPTS,
    // Checksums of our own go with each upload. The library's default one is refused by some servers that are not Amazon's.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      socketTimeout: SILENCE_MS,
      httpAgent: { maxSockets: MAX_SOCKETS, keepAlive: true },
      httpsAgent: { maxSockets: MAX_SOCKETS, keepAlive: true },
    },
  };
  const client = new sdk.S3Client(config);
  return {
    client,
    sdk,
    place,
    keyOf: (name) => (place.prefix === '' ? name : `${place.prefix}/${name}`),
    close: () => client.destroy(),
  };
}

interface SdkError {
  readonly name?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** Is it S3's way to say that there is no such object? */
export function isMissingObject(thrown: unknown): boolean {
  const { name, $metadata } = (thrown ?? {}) as SdkError;
  return name === 'NoSuchKey' || (name === 'NotFound' && $metadata?.httpStatusCode === 404);
}

/** Did something else that was done at the same moment get in the way? Then the same again will do. */
export const isConflict = (thrown: unknown): boolean => ((thrown ?? {}) as SdkError).$metadata?.httpStatusCode === 409;

const FULL: ReadonlySet<string> = new Set(['QuotaExceeded', 'XMinioStorageFull', 'InsufficientCapacity']);
const CREDENTIALS: ReadonlySet<string> = new Set(['CredentialsProviderError', 'ExpiredToken', 'InvalidAccessKeyId']);
const REFUSED: ReadonlySet<string> = new Set(['AccessDenied', 'Forbidden', 'SignatureDoesNotMatch']);

/** What S3 said, in the words of the one table of codes. Never shows a key or a signature: the library's messages hold none. */
export function s3Error(thrown: unknown, doing: string, { bucket }: Pick<S3Place, 'bucket'>): PosternError {
  if (thrown instanceof PosternError) return thrown;
  const { name = 'unknown', message = String(thrown), $metadata } = (thrown ?? {}) as SdkError;
  const status = $metadata?.httpStatusCode;
  const say = (reason: string): string => `${doing}: ${reason} (${name}${status === undefined ? '' : `, ${status}`})`;
  if (FULL.has(name) || status === 507) {
    return new PosternError('storage_full', say(`the bucket ${bucket} takes no more`), { cause: thrown });
  }
  const reason = CREDENTIALS.has(name)
    ? `there are no usable credentials for the bucket ${bucket}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role of this machine`
    : REFUSED.has(name) || status === 403
      ? `these credentials may not do that in the bucket ${bucket}: see the list of permissions in docs/storage.md`
      : name === 'NoSuchBucket'
        ? `there is no bucket ${bucket}: make it, or correct its name`
        : message;
  return new PosternError('storage_failed', say(reason), { cause: thrown });
}
