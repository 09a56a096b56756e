/** Brings a database to the format of this release, and moves a store into it. */
import { systemClock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { createDirectoryBlobs } from '../../blobs/directory.ts';
import { DEFAULT_LEASE_MS } from '../../dispatch/job.ts';
import { blobsFolder, createGatewayBlobs, storePath } from '../../gateway/store.ts';
import { createConnection, type Connection } from '../../store/postgres/connection.ts';
import { migrate, schemaState } from '../../store/postgres/migrate.ts';
import { moveStore, type MoveSummary } from '../../store/postgres/move.ts';
import type { Config } from '../config.ts';
import { loadConfig } from '../env.ts';
import { createProgress, type Progress } from '../terminal.ts';

export interface MigrateFlags {
  readonly check?: boolean;
  readonly moveJobs?: boolean;
  readonly json?: boolean;
}

const CONNECT_MS = 10_000;
/** A step may build an index over everything. */
const ANSWER_MS = 60 * 60 * 1000;

export async function migrateCommand(flags: MigrateFlags): Promise<void> {
  const config = loadConfig();
  if (config.databaseUrl === null) {
    throw new PosternError('config_invalid', 'DATABASE_URL is not set: there is no database to migrate');
  }
  const connection = createConnection({
    url: config.databaseUrl,
    clock: systemClock,
    meter: { statements: 0, transactions: 0 },
    connectMs: CONNECT_MS,
    answerMs: ANSWER_MS,
  });
  try {
    if (flags.check === true) return await check(connection, flags);
    const steps = await connection.transaction((run) => migrate(run));
    const { version } = await schemaState(connection.run);
    const moved = flags.moveJobs === true ? await moveJobs(connection, config, flags.json === true) : null;
    if (flags.json === true) {
      process.stdout.write(`${JSON.stringify({ version, steps, moved })}\n`);
      return;
    }
    const what = steps.length === 0 ? 'Nothing to do' : `Applied ${steps.join(', ')}`;
    process.stdout.write(`${what}: the database has format ${version}.\n`);
    if (moved !== null) process.stdout.write(textOf(moved));
  } finally {
    await connection.stop();
  }
}

async function check(connection: Connection, flags: MigrateFlags): Promise<void> {
  const { version, known, refusal } = await schemaState(connection.run);
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ version, known, refusal })}\n`);
  if (refusal !== null) throw new PosternError('storage_failed', refusal);
  if (flags.json !== true) process.stdout.write(`The database has format ${version}, and this release runs on it.\n`);
}

async function moveJobs(connection: Connection, config: Config, isQuiet: boolean): Promise<MoveSummary> {
  const folder = createDirectoryBlobs({ folder: blobsFolder(config.dataDir), clock: systemClock });
  const bucket = config.blobs === null ? null : createGatewayBlobs(config, systemClock);
  let bar: Progress | null = null;
  let shown = 0;
  await folder.start();
  await bucket?.start();
  try {
    return await moveStore({
      path: storePath(config.dataDir),
      connection,
      // The gateway may have kept them in the bucket already, or still in its folder.
      readBlob: async (key) => (await folder.get(key)) ?? (await bucket?.get(key)) ?? null,
      blobs: bucket,
      leaseMs: DEFAULT_LEASE_MS,
      onProgress(done, all) {
        if (isQuiet) return;
        bar ??= createProgress(all, 'jobs');
        bar.step(done - shown);
        shown = done;
      },
    });
  } finally {
    (bar as Progress | null)?.end();
    await folder.stop();
    await bucket?.stop();
  }
}

function textOf({ jobs, deliveries, alreadyThere, digest }: MoveSummary): string {
  const before = alreadyThere === 0 ? '' : ` (${alreadyThere} of them by an earlier run)`;
  return `Moved ${jobs} jobs${before} and ${deliveries} webhook deliveries; both sides were compared: ${digest.slice(0, 16)}.
The file was not changed. Start the gateways with DATABASE_URL, and not without it any more.
`;
}
