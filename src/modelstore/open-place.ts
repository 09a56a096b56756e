/** The place that an address names; what it needs is imported then. */
import { parseS3Url, type S3Place } from '../blobs/s3-client.ts';
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import type { ModelPlace } from './place.ts';

export interface PlaceOptions {
  readonly s3: Pick<S3Place, 'endpoint' | 'region' | 'pathStyle'>;
  readonly clock: Clock;
}

/** `s3://…`, `https://…` (`http://` on loopback only), or a folder. Throws config_invalid for anything else. */
export async function openPlace(address: string, { s3, clock }: PlaceOptions): Promise<ModelPlace> {
  if (address.startsWith('s3://')) {
    const at = parseS3Url(address);
    if (at === null)
      throw new PosternError(
        'config_invalid',
        `${address}: expected a bucket and perhaps a prefix, like s3://models/prod`,
      );
    return (await import('./places/s3.ts')).openS3Models(address, { ...at, ...s3 });
  }
  if (/^https?:\/\//.test(address)) return (await import('./places/web.ts')).openWebModels(address, clock);
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(address)) {
    throw new PosternError('config_invalid', `${address}: models are stored under s3://, https:// or in a folder`);
  }
  return (await import('./places/folder.ts')).openFolderModels(address);
}
