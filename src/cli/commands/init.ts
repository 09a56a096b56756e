/** `postern init`: the gateway's certificate authority and its own certificate. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP, jsonOption } from '../options.ts';

export function addInit(program: Command): void {
  program
    .command('init')
    .description('make the certificate authority and the certificate of this machine’s gateway')
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `
Run it again at any time: what is there stays. \`postern gateway\` does the same at its first start.

Examples:
  postern init
${EXIT_CODES_HELP}`,
    )
    .action(async (flags: { json?: boolean }) => (await import('../run/init.ts')).init(flags));
}
