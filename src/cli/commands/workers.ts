/** `postern workers`: who was let in, for what, and which of them are here. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP, gatewayOption, jsonOption, keyFileOption, type CallerOptions } from '../options.ts';

export function addWorkers(program: Command): void {
  program
    .command('workers')
    .description('list all workers: invited, connected, away, locked, revoked')
    .addOption(gatewayOption())
    .addOption(keyFileOption())
    .addOption(jsonOption('print JSON, as GET /v1/admin/workers has it'))
    .addHelpText(
      'after',
      `
The gateway is asked, with an admin key where it has keys. On its own machine the list comes from its records when it does not
run or does not answer to this key; then it says when workers were last seen, and not who is connected.

Examples:
  postern workers
  postern workers --json
${EXIT_CODES_HELP}`,
    )
    .action(async (options: CallerOptions) => (await import('../run/workers.ts')).workers(options));
}
