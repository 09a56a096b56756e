/** `postern revoke`: a worker that may not connect any more. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP, jsonOption } from '../options.ts';
import { parseWorkerName } from '../worker-options.ts';

export function addRevoke(program: Command): void {
  program
    .command('revoke')
    .description('shut a worker out, at once and for good; run it on the gateway’s machine')
    .argument('<worker>', 'name of the worker', parseWorkerName)
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `
Running gateways close its sessions within a second; what it ran is run elsewhere. Open invitations for the name are taken
back too. To let it in again: postern invite <worker>, and postern join on its machine.

Examples:
  postern revoke gpu-1
${EXIT_CODES_HELP}`,
    )
    .action(async (name: string, flags: { json?: boolean }) => (await import('../run/revoke.ts')).revoke(name, flags));
}
