/** `postern gateway`: the public process. */
import { Option, type Command } from 'commander';
import { EXIT_CODES_HELP, guideOption } from '../options.ts';
import type { GatewayFlags } from '../run/gateway.ts';

export function addGateway(program: Command): void {
  program
    .command('gateway')
    .description('run the public gateway: the HTTP API, and the port that workers dial')
    .option('--ready-file <path>', 'write the addresses to this file, as JSON, when ready')
    .option('--json', 'print the addresses as one JSON line when ready')
    .addOption(guideOption())
    .addOption(new Option('--hand-over <json>', 'given by a supervisor to its instances').hideHelp())
    .addHelpText(
      'after',
      `
Settings: POSTERN_HTTP_HOST, POSTERN_HTTP_PORT, POSTERN_TUNNEL_HOST, POSTERN_TUNNEL_PORT, POSTERN_DATA_DIR, …
(docs/configuration.md). SIGINT or SIGTERM drains it; a second one ends it at once.

Examples:
  postern gateway
  POSTERN_TUNNEL_PORT=443 postern gateway
${EXIT_CODES_HELP}`,
    )
    .action(async (flags: GatewayFlags) => (await import('../run/gateway.ts')).gateway(flags));
}
