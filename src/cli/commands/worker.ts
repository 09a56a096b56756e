/** `postern worker`: the private process. It listens on nothing; it dials the gateway and is sent work. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP, jsonOption } from '../options.ts';
import type { WorkerFlags } from '../run/worker.ts';
import type { InstallFlags } from '../run/worker-install.ts';

export function addWorker(program: Command): void {
  const worker = program
    .command('worker')
    .description('run a worker: it dials the gateway and serves the models of this machine')
    .option('--ready-file <path>', 'keep in this file, as JSON, whether the gateway is reached and which models serve')
    .helpCommand(false)
    .addHelpText(
      'after',
      `
The worker opens no port. It goes on dialling when the gateway is away, so start order does not matter. Of several
gateways one is enough to begin with: they tell it of the others, and it serves all of them.
Settings: TARGET_HOST, TARGET_PORT, POSTERN_MODELS_DIR, POSTERN_IDENTITY_DIR, … (docs/configuration.md).

Examples:
  TARGET_HOST=gateway.example.org postern worker
  TARGET_HOST=gw-1.example.org,gw-2.example.org:37373 postern worker
  POSTERN_MODELS_DIR=/srv/models postern worker
${EXIT_CODES_HELP}`,
    )
    .action(async (flags: WorkerFlags) => (await import('../run/worker.ts')).worker(flags));
  addInstall(worker);
}

function addInstall(worker: Command): void {
  worker
    .command('install')
    .description('have systemd run this version of the worker on this machine; later, replace it by another one')
    .option(
      '--dir <folder>',
      'where releases lie (default: /opt/postern-worker, without root ~/.local/share/postern-worker)',
    )
    .option('--user <name>', 'as root: the user that the worker runs as', 'postern-worker')
    .option('--source <folder>', 'the clone to make the release of, after npm ci (default: the one of this program)')
    .option('--print-unit', 'print the systemd unit, and do nothing')
    .option('--no-start', 'do everything but start it')
    .addOption(jsonOption('print one JSON line an event, and the result as the last'))
    .addHelpText(
      'after',
      `
Run it again from a newer clone to replace the worker: the one that runs ends its jobs first, and when the new one does not
serve what the old one did, the old one is started again. The settings of now (.env, environment) are written down the first
time. Without root it is a unit of yours (systemctl --user). On WSL systemd must be on: docs/operating.md.

Examples:
  postern worker install
  sudo npx postern worker install
  postern worker install --print-unit
${EXIT_CODES_HELP}`,
    )
    .action(async (_: object, command: Command) =>
      (await import('../run/worker-install.ts')).install(command.optsWithGlobals<InstallFlags>()),
    );
}
