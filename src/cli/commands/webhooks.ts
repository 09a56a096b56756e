/** `postern webhooks`: deliveries, and the secrets that they are signed with. */
import type { Command } from 'commander';
import { Argument, Option } from 'commander';
import { EXIT_CODES_HELP, gatewayOption, integer, jsonOption, keyFileOption, type CallerOptions } from '../options.ts';
import type { ListFlags, SecretFlags } from '../run/webhooks.ts';

export function addWebhooks(program: Command): void {
  const webhooks = program
    .command('webhooks')
    .description('what became of webhooks, and the secrets that they are signed with');
  webhooks
    .command('secret')
    .description('print the secret with which one caller verifies its webhooks')
    .option('--caller <key id>', 'the API key that the caller uses; without it, callers that have none', 'anonymous')
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `
Runs on the machine of the gateway, of several on any of them. Callers get their own from GET /v1/webhooks/default/secret.

Examples:
  postern webhooks secret
  postern webhooks secret --caller k7f3a --json
${EXIT_CODES_HELP}`,
    )
    .action(async (flags: SecretFlags) => (await import('../run/webhooks.ts')).secret(flags));
  webhooks
    .command('rotate')
    .description('change all secrets; the ones before stay valid for a day')
    .addHelpText(
      'after',
      `
For a day every webhook is signed with both, so that receivers have time to fetch the new one. A second rotation within
that day ends the oldest at once: do that when a secret was stolen. Gateways that share a database follow within a second.

Examples:
  postern webhooks rotate
${EXIT_CODES_HELP}`,
    )
    .action(async () => (await import('../run/webhooks.ts')).rotate());
  webhooks
    .command('list')
    .description('list deliveries, newest first')
    .addOption(new Option('--status <status>', 'only these').choices(['pending', 'delivered', 'failed']))
    .addOption(new Option('--limit <count>', 'at most so many').argParser(integer(1, 500)).default(50))
    .addOption(gatewayOption())
    .addOption(keyFileOption())
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `
Delivered ones are shown for a day, failed ones for a week.

Examples:
  postern webhooks list
  postern webhooks list --status failed --json
${EXIT_CODES_HELP}`,
    )
    .action(async (flags: ListFlags) => (await import('../run/webhooks.ts')).list(flags));
  webhooks
    .command('resend')
    .description('try a failed delivery again, as if it had never been tried')
    .addArgument(new Argument('<id>', 'as `postern webhooks list` shows it'))
    .addOption(gatewayOption())
    .addOption(keyFileOption())
    .addOption(jsonOption('print JSON'))
    .addHelpText('after', `\nExamples:\n  postern webhooks resend msg_01a2…_completed\n${EXIT_CODES_HELP}`)
    .action(async (id: string, flags: CallerOptions) => (await import('../run/webhooks.ts')).resend(id, flags));
}
