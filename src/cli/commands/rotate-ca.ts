/** `postern rotate-ca`: another certificate authority in place of the present one, while workers go on. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP, jsonOption } from '../options.ts';
import type { RotateFlags } from '../run/rotate-ca.ts';

export function addRotateCa(program: Command): void {
  program
    .command('rotate-ca')
    .description('replace the certificate authority; run it on the gateway’s machine')
    .option('--finish', 'end the overlap: from here on only the new authority counts')
    .option('--force', 'with --finish: also when workers have not moved over; they must be invited again')
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `
First call: a new authority signs, and old and new are trusted. Each worker moves over with its next renewal (after two
thirds of its certificate's life: 16 hours by default). Call it again to see who has; then with --finish.

Examples:
  postern rotate-ca
  postern rotate-ca --finish
${EXIT_CODES_HELP}`,
    )
    .action(async (flags: RotateFlags) => (await import('../run/rotate-ca.ts')).rotateCa(flags));
}
