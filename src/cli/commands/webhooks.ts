/** `postern webhooks`: the secrets that webhooks are signed with. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP, jsonOption } from '../options.ts';
import type { SecretFlags } from '../run/webhooks.ts';

export function addWebhooks(program: Command): void {
  const webhooks = program.command('webhooks').description('show or change the secrets that webhooks are signed with');
  webhooks
    .command('secret')
    .description('print the secret with which one caller verifies its webhooks')
    .option('--caller <key id>', 'the API key that the caller uses; without it, callers that have none', 'anonymous')
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `
Runs on the machine of the gateway. Callers get their own from GET /v1/webhooks/default/secret.

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
that day ends the oldest at once: do that when a secret was stolen.

Examples:
  postern webhooks rotate
${EXIT_CODES_HELP}`,
    )
    .action(async () => (await import('../run/webhooks.ts')).rotate());
}
