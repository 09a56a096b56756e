/** What the PostgreSQL driver can be told. */
import type { Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import type { Secret } from '../../secret.ts';
import type { DiskLimits } from '../disk-limits.ts';
import type { PayloadBlobs } from '../payload-blobs.ts';
import type { Meter } from './connection.ts';

export interface PostgresStoreOptions extends Partial<DiskLimits> {
  /** Of this process, for its own waits. What is written is told by the database's clock. */
  readonly clock: Clock;
  readonly url: Secret;
  /** Past any pooler, for LISTEN; null: the same. */
  readonly listenUrl?: Secret | null;
  /** For payloads over 64 KiB; not started or stopped here. null: they are kept in the database, which any gateway reaches. */
  readonly blobs: PayloadBlobs | null;
  /** How long a blob that no row names is kept. */
  readonly blobGraceMs?: number;
  readonly logger?: Logger;
  /** How long a call waits for a connection, and then for its answer. */
  readonly connectMs?: number;
  readonly answerMs?: number;
  /** How long a caller waits at most while nothing at all is heard of the database. */
  readonly silentMs?: number;
  /** Tests bring their own time: what the wall clock and the clock of leases say instead of the database's. */
  readonly time?: Pick<Clock, 'now' | 'monotonic'>;
  readonly meter?: Meter;
}

/** A moment as the statements take it: null is the database's clock. */
export interface Times {
  now(): number | null;
  lease(): number | null;
}

/** The number of this product in the space of advisory locks ("POST"), which other programs on the database share. */
export const LOCK_SPACE = 0x504f5354;
/** Writing connections choose among so many rows of sums: see `migrations/0001-tables.sql`. */
export const SLOTS = 63;
