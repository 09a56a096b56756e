/** `postern migrate`: the tables in PostgreSQL, and a store's way from SQLite to there. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP, jsonOption } from '../options.ts';
import type { MigrateFlags } from '../run/migrate.ts';

export function addMigrate(program: Command): void {
  program
    .command('migrate')
    .description('bring the database of DATABASE_URL to the format of this release')
    .option('--check', 'change nothing; exit 1 when this release cannot run on the database as it is')
    .option('--move-jobs', 'then move the jobs of the stopped gateway in POSTERN_DATA_DIR from SQLite into it')
    .addOption(jsonOption('print what was done as JSON'))
    .addHelpText(
      'after',
      `
A gateway does the same when it starts. Steps only add, so that gateways of the release before go on beside it; of several
processes one migrates and the others wait.

--move-jobs refuses while a gateway runs on the file, and where the database has jobs of its own. It carries jobs, payloads,
webhooks and models over, reads both sides again and compares them; the file stays as it is. Where it was cut off, the same
command goes on.

Examples:
  DATABASE_URL=postgresql://postern@db/postern postern migrate
  DATABASE_URL=postgresql://postern@db/postern postern migrate --move-jobs
${EXIT_CODES_HELP}`,
    )
    .action(async (flags: MigrateFlags) => (await import('../run/migrate.ts')).migrateCommand(flags));
}
