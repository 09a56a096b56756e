/** `postern worker`: the private process. It listens on nothing; it dials the gateway and is sent work. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP } from '../options.ts';

export function addWorker(program: Command): void {
  program
    .command('worker')
    .description('run a worker: it dials the gateway and serves the models of this machine')
    .addHelpText(
      'after',
      `
The worker opens no port. It goes on dialling when the gateway is away, so start order does not matter.
Settings: TARGET_HOST, TARGET_PORT, POSTERN_MODELS_DIR, POSTERN_IDENTITY_DIR, … (docs/configuration.md).

Examples:
  TARGET_HOST=gateway.example.org postern worker
  POSTERN_MODELS_DIR=/srv/models postern worker
${EXIT_CODES_HELP}`,
    )
    .action(async () => (await import('../run/worker.ts')).worker());
}
