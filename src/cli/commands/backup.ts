/** `postern backup` and `postern restore`: the gateway's jobs, in a folder that can be carried away. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP } from '../options.ts';

export function addBackup(program: Command): void {
  program
    .command('backup')
    .description('copy jobs, payloads, workers, keys and identity into a new folder, while the gateway runs')
    .argument('<folder>', 'where to write it; it must not exist')
    .addHelpText(
      'after',
      `
The copy is what was committed at one moment. It holds callers' inputs and results, and the key of the certificate
authority: whoever has it can be any worker.

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
from the backup only where there are none: what was revoked since must stay revoked.
Jobs that ran when the backup was made run again, unless their worker still has them.
${EXIT_CODES_HELP}`,
    )
    .action(async (folder: string) => (await import('../run/backup.ts')).restore(folder));
}
