/** `postern gateways`: the gateways that share a database, as one of them knows them. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP, gatewayOption, jsonOption, keyFileOption, type CallerOptions } from '../options.ts';

export function addGateways(program: Command): void {
  program
    .command('gateways')
    .description('list the gateways that share a database: release, state, heartbeat, sessions')
    .addOption(gatewayOption())
    .addOption(keyFileOption())
    .addOption(jsonOption('print JSON, as GET /v1/admin/gateways has it'))
    .addHelpText(
      'after',
      `
One gateway is asked, with an admin key where it has keys, and tells whom it knows. One that was killed stays in the list for
six seconds. While a gateway cannot reach the database its list is the last one that it read: HEARTBEAT shows its age.

Examples:
  postern gateways
  postern gateways --gateway https://postern.example --json
${EXIT_CODES_HELP}`,
    )
    .action(async (options: CallerOptions) => (await import('../run/gateways.ts')).gateways(options));
}
