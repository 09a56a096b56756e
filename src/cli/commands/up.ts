/** `postern up`: the main job on one machine. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP, guideOption } from '../options.ts';
import type { UpFlags } from '../run/up.ts';

export function addUp(program: Command): void {
  program
    .command('up')
    .description('run a gateway and a worker on this machine, joined through mutual TLS (npm start)')
    .option('--models <folder>', 'serve the models of this folder instead of those of POSTERN_MODELS_DIR')
    .option('--ready-file <path>', 'write the addresses to this file, as JSON, when ready')
    .option('--json', 'print the addresses as one JSON line when ready, instead of the banner')
    .addOption(guideOption())
    .addHelpText(
      'after',
      `
Ctrl-C drains both: what runs is finished, nothing new is taken. A second Ctrl-C ends them at once.
Settings come from the environment and .env (docs/configuration.md).

Examples:
  postern up
  postern up --models examples
  POSTERN_HTTP_PORT=9000 POSTERN_MODELS_DIR=/srv/models postern up
  POSTERN_HTTP_PORT=0 POSTERN_TUNNEL_PORT=0 postern up --json
${EXIT_CODES_HELP}`,
    )
    .action(async (flags: UpFlags) => (await import('../run/up.ts')).up(flags));
}
