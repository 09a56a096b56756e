/** `postern invite`: a token with which one machine can join as one worker. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP, integer, jsonOption } from '../options.ts';
import type { InviteFlags } from '../run/invite.ts';
import { allModelsOption, modelsOption, parseWorkerName } from '../worker-options.ts';

export function addInvite(program: Command): void {
  program
    .command('invite')
    .description('invite a machine as a worker: prints the command to run there; run this on the gateway’s machine')
    .argument('<worker>', 'name of the worker: lower-case letters, digits, hyphens', parseWorkerName)
    .addOption(modelsOption())
    .addOption(allModelsOption())
    .option('--ttl <seconds>', 'how long the invitation counts', integer(10, 604_800), 600)
    .option('--address <host[:port]>', 'where the worker reaches the tunnel port (default: POSTERN_TUNNEL_ADDRESS)')
    .option('--replace', 'another machine takes the place of the one that has this name')
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `
The token counts once. It is shown this once and kept nowhere; a new invitation for the same name takes it back.

Examples:
  postern invite gpu-1 --models plants,clothes
  postern invite gpu-1 --all-models --address gateway.example.org
${EXIT_CODES_HELP}`,
    )
    .action(async (name: string, flags: InviteFlags) => (await import('../run/invite.ts')).invite(name, flags));
}
