/** `postern join`: makes the identity of this machine's worker with an invitation. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP, jsonOption } from '../options.ts';
import type { JoinFlags } from '../run/join.ts';

export function addJoin(program: Command): void {
  program
    .command('join')
    .description('make this machine a worker, with the token that `postern invite` printed on the gateway')
    .argument('<token>', 'the token; - reads it from standard input')
    .option('--address <host[:port]>', 'reach the gateway here, and not where the token says')
    .option('--force', 'replace an identity that is already here')
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `
The key is made here and never leaves this machine (POSTERN_IDENTITY_DIR, default data/worker). Before anything is sent the
gateway is checked against the token. When the network fails in between, run the same command again.

Examples:
  postern join postern_join_eyJhIjoi…
  ssh gateway postern invite gpu-1 --models plants --json | jq -r .token | postern join -
${EXIT_CODES_HELP}`,
    )
    .action(async (token: string, flags: JoinFlags) => (await import('../run/join.ts')).join(token, flags));
}
