/**
 * Where uploaded files are. Gateways that share a database and a bucket share them: the book is in the database, the bytes are in the
 * bucket under `files/`. Otherwise they are this machine's: `<data dir>/files.sqlite` and `<data dir>/files/`.
 */
import { join } from 'node:path';
import { createDirectoryBlobs } from '../../blobs/directory.ts';
import { createS3Blobs } from '../../blobs/s3.ts';
import { placeUnder } from '../../blobs/s3-client.ts';
import type { Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import { createSqliteFiles } from '../../store/sqlite/files.ts';
import type { Store } from '../../store/store.ts';
import type { GatewayConfig } from '../config.ts';
import { createFiles, type Files } from './files.ts';

export interface GatewayFilesOptions {
  readonly config: Pick<GatewayConfig, 'dataDir' | 'blobs' | 'files'>;
  readonly store: Pick<Store, 'files'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * In a bucket a put takes earlier copies of the same bytes away a moment later, by names in which the time of a gateway's clock stands. So for a
 * minute after a put nothing is removed there: by then that is over, and clocks that differ by less do no harm.
 */
const YOUNG_IN_BUCKET_MS = 60_000;

export function createGatewayFiles({ config, store, clock, logger }: GatewayFilesOptions): Files {
  const { dataDir, blobs, files } = config;
  if (store.files === undefined || blobs === null) return createLocalFiles({ dataDir, clock, logger, ...files });
  return createFiles({
    book: store.files,
    blobs: createS3Blobs({ place: placeUnder(blobs, 'files'), clock }),
    youngMs: YOUNG_IN_BUCKET_MS,
    clock,
    logger,
    ...files,
  });
}

export type LocalFilesOptions = Pick<GatewayFilesOptions, 'clock' | 'logger'> &
  GatewayConfig['files'] & { readonly dataDir: string };

export function createLocalFiles({ dataDir, clock, logger, ...limits }: LocalFilesOptions): Files {
  return createFiles({
    book: createSqliteFiles({ path: join(dataDir, 'files.sqlite'), clock }),
    blobs: createDirectoryBlobs({ folder: join(dataDir, 'files'), clock }),
    youngMs: 0,
    clock,
    logger,
    ...limits,
  });
}
