/** `postern deploy`: makes a release, sends it to a machine over SSH, and has it serve there. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP, jsonOption } from '../options.ts';
import type { DeployFlags } from '../run/deploy.ts';

export const DEFAULT_DEPLOY_DIR = '/opt/postern';

export function addDeploy(program: Command): void {
  program
    .command('deploy')
    .description('put this version of Postern on a machine over SSH, without a failed request')
    .argument('<machine>', 'user@host, or a name of your ssh configuration')
    .option('--dir <folder>', 'where releases lie there; ~/… is below the home of that user', DEFAULT_DEPLOY_DIR)
    .option('--provision', 'prepare a bare Debian or Ubuntu first: user, folders, systemd unit (needs root there)')
    .option('--user <name>', 'with --provision: the user that the gateway runs as', 'postern')
    .option('--deploy-key <file>', 'with --provision: a public key that may deploy as that user from then on')
    .option('--settings <file>', 'KEY=value lines for the machine, when it has none yet (docs/configuration.md)')
    .option('--public-url <url>', 'check at the end that callers meet the new release here')
    .option('--no-backup', 'copy no database, even when its form changes')
    .option('--dry-run', 'say what would be done, and change nothing')
    .option('--source <folder>', 'the clone to make the release of, after npm ci (default: the one of this program)')
    .option('--owner <name>', 'who holds the lock meanwhile, for others to see (default: you@this-machine)')
    .option('--ssh-config <file>', 'a configuration for ssh in the place of ~/.ssh/config')
    .option(
      '--accept-new-host',
      'remember the host key of a machine that was never seen; a changed one is refused all the same',
    )
    .addOption(jsonOption('print one JSON line an event, and the result as the last'))
    .addHelpText(
      'after',
      `
It connects, makes the release, sends what is not there yet (an upload that was cut off goes on), checks and unpacks it, takes
the lock, copies the database when its form changes, switches, verifies, and removes what is old. When a step fails the old
release serves, and the message says so. docs/operating.md tells the whole story.

Examples:
  postern deploy root@gateway.example.org --provision --accept-new-host   the first time, on a bare machine
  postern deploy root@gateway.example.org                                 from then on
  postern deploy ana@gateway.example.org --dir ~/postern                  without root
  postern deploy root@gateway.example.org --dry-run
${EXIT_CODES_HELP}`,
    )
    .action(async (target: string, flags: DeployFlags) => (await import('../run/deploy.ts')).deploy(target, flags));
}
