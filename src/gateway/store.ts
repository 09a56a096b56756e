/** The store that the configuration names, with what it needs beside it. */
import { join } from 'node:path';
import type { BlobStore } from '../blobs/blobs.ts';
import { createDirectoryBlobs } from '../blobs/directory.ts';
import { createS3Blobs } from '../blobs/s3.ts';
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { createService } from '../service.ts';
import { createMemoryStore } from '../store/memory.ts';
import { createPostgresStore } from '../store/postgres/postgres.ts';
import { createSplitStore, type SplitStore } from '../store/split.ts';
import { createSqliteStore } from '../store/sqlite/sqlite.ts';
import type { Store } from '../store/store.ts';
import type { GatewayConfig } from './config.ts';

/** Where a gateway with this data folder keeps its jobs, and their large payloads. */
export const storePath = (dataDir: string): string => join(dataDir, 'jobs.sqlite');
export const blobsFolder = (dataDir: string): string => join(dataDir, 'blobs');

export interface GatewayStoreOptions {
  readonly config: Pick<GatewayConfig, 'dataDir' | 'jobs' | 'store' | 'blobs'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Where the large payloads of this installation are, not started. */
export function createGatewayBlobs(
  { dataDir, blobs }: Pick<GatewayConfig, 'dataDir' | 'blobs'>,
  clock: Clock,
): BlobStore {
  if (blobs !== null) return createS3Blobs({ place: blobs, clock });
  return createDirectoryBlobs({ folder: blobsFolder(dataDir), clock });
}

export function createGatewayStore(options: GatewayStoreOptions): SplitStore {
  const { config, clock } = options;
  const unrecorded = createMemoryStore({ clock, ...limitsOf(config), maxResults: 0 });
  return createSplitStore({ recorded: createRecordedStore(options), unrecorded, clock });
}

const limitsOf = ({ jobs }: GatewayStoreOptions['config']) => ({
  queueLimitJobs: jobs.maxQueueJobs,
  maxAttempts: jobs.maxAttempts,
  waitTtlMs: jobs.waitTtlMs,
  resultTtlMs: jobs.resultTtlMs,
  idempotencyTtlMs: jobs.idempotencyTtlMs,
  leaseMs: jobs.leaseMs,
  ...(jobs.maxResults === null ? {} : { maxResults: jobs.maxResults }),
  ...(jobs.maxResultBytes === null ? {} : { maxResultBytes: jobs.maxResultBytes }),
  ...(jobs.maxInputBytes === null ? {} : { maxInputBytes: jobs.maxInputBytes }),
  ...(jobs.maxFailedInputBytes === null ? {} : { maxFailedInputBytes: jobs.maxFailedInputBytes }),
});

function createRecordedStore(options: GatewayStoreOptions): Store {
  const { config, clock } = options;
  if (config.store.driver === 'memory') return createMemoryStore({ clock, ...limitsOf(config) });
  // A folder is this machine's: what another gateway must read too goes into the database, or to S3.
  const isShared = config.store.driver !== 'postgres' || config.blobs !== null;
  const blobs = isShared ? createGatewayBlobs(config, clock) : null;
  const store = createDurableStore(options, blobs);
  const service = createService({
    async start() {
      await blobs?.start();
      await store.start();
    },
    async stop() {
      await store.stop();
      await blobs?.stop();
    },
  });
  return { ...store, ...service };
}

function createDurableStore({ config, clock, logger }: GatewayStoreOptions, blobs: BlobStore | null): Store {
  const { driver, url, listenUrl } = config.store;
  const shared = { clock, logger, blobGraceMs: config.jobs.blobGraceMs, ...limitsOf(config) };
  if (driver !== 'postgres') return createSqliteStore({ ...shared, path: storePath(config.dataDir), blobs: blobs! });
  if (url === null)
    throw new PosternError('config_invalid', 'store.url: expected the URL of a database for `postgres`');
  return createPostgresStore({ ...shared, url, listenUrl, blobs });
}
