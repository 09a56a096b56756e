/** `postern backup` and `postern restore`: the gateway's jobs and its field guide, in a folder that can be carried away. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP } from '../options.ts';

export function addBackup(program: Command): void {
  program
    .command('backup')
    .description(
      'copy jobs, payloads, the field guide, workers, keys and identity into a new folder, while the gateway runs',
    )
    .argument('<folder>', 'where to write it; it must not exist')
    .addHelpText(
      'after',
      `
The copy is what was committed at one moment. It holds callers' inputs and results, the photos that people sent to the field
guide, and the key of the certificate authority: whoever has it can be any worker.
With DATABASE_URL only the identity is copied: jobs, field guide, workers and keys are the database's backup to make
(pg_dump), payloads and photos in a bucket the bucket's; without a bucket, copy POSTERN_DATA_DIR/photos too.

Examples:
  postern backup /backups/postern-$(date +%F)
${EXIT_CODES_HELP}`,
    )
    .action(async (folder: string) => (await import('../run/backup.ts')).backup(folder));
}

export function addRestore(program: Command): void {
  program
    .command('restore')
    .description('make the store of a stopped gateway out of a backup')
    .argument('<folder>', 'what `postern backup` wrote')
    .addHelpText(
      'after',
      `
POSTERN_DATA_DIR must hold no store: move jobs.sqlite and the files beside it away first. Workers, keys and identity come
from the backup only where there are none: what was revoked since must stay revoked. So does the field guide: what people
deleted since must stay deleted; to have it back, move fieldguide.sqlite and the files beside it away too.
Jobs that ran when the backup was made run again, unless their worker still has them.
${EXIT_CODES_HELP}`,
    )
    .action(async (folder: string) => (await import('../run/backup.ts')).restore(folder));
}
