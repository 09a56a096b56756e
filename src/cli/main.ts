/**
 * The command line. Exit codes: 0 it worked; 1 the operation failed; 2 the command or the settings were wrong. What a
 * person did wrong is answered by one line on standard error that says what and what to do, never by a stack trace.
 */
import { Command, CommanderError } from 'commander';
import { PosternError, toPosternError } from '../errors.ts';
import { addAudit } from './commands/audit.ts';
import { addAllow } from './commands/allow.ts';
import { addBackup, addRestore } from './commands/backup.ts';
import { addDeploy } from './commands/deploy.ts';
import { addDoctor } from './commands/doctor.ts';
import { addEval } from './commands/eval.ts';
import { addGateway } from './commands/gateway.ts';
import { addGateways } from './commands/gateways.ts';
import { addInit } from './commands/init.ts';
import { addInvite } from './commands/invite.ts';
import { addJoin } from './commands/join.ts';
import { addKeys } from './commands/keys.ts';
import { addMigrate } from './commands/migrate.ts';
import { addModels } from './commands/models.ts';
import { addPredict } from './commands/predict.ts';
import { addReleases } from './commands/releases.ts';
import { addRevoke } from './commands/revoke.ts';
import { addRotateCa } from './commands/rotate-ca.ts';
import { addScaling } from './commands/scaling.ts';
import { addSupervise } from './commands/supervise.ts';
import { addUp } from './commands/up.ts';
import { addWebhooks } from './commands/webhooks.ts';
import { addWorker } from './commands/worker.ts';
import { addWorkers } from './commands/workers.ts';
import { EXIT_FAILED, EXIT_USAGE } from './exit.ts';
import { holdOpen } from './lifetime.ts';
import { printable } from './terminal.ts';
import { VERSION } from './version.ts';

export async function main(argv: readonly string[]): Promise<void> {
  // `postern models | head` closes our standard output early: that is an end, not a failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  // A log on a disk that is full loses lines; what serves must not end for it.
  process.stderr.on('error', () => undefined);
  const release = holdOpen();
  try {
    await buildProgram().parseAsync(argv, { from: 'user' });
  } catch (error) {
    process.exitCode = report(error);
  } finally {
    release();
  }
}

function buildProgram(): Command {
  const program = new Command('postern')
    .description(
      'Serves deep learning from the machine you own: a public gateway, and a worker that dials out to it over mutual TLS.',
    )
    .version(VERSION, '-V, --version', 'print the version')
    // An option behind the name of a command belongs to that command, also where its parent has one of the same name.
    .enablePositionalOptions()
    .helpCommand('help [command]', 'show the help of a command')
    .helpOption('-h, --help', 'show this help')
    .showHelpAfterError('(see --help)')
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'postern: ')) })
    .addHelpText('after', PROGRAM_HELP);
  for (const add of [
    addUp,
    addGateway,
    addWorker,
    addInit,
    addInvite,
    addJoin,
    addAllow,
    addRevoke,
    addRotateCa,
    addKeys,
    addAudit,
    addPredict,
    addModels,
    addWorkers,
    addGateways,
    addScaling,
    addWebhooks,
    addDoctor,
    addEval,
    addSupervise,
    addReleases,
    addDeploy,
    addBackup,
    addRestore,
    addMigrate,
  ]) {
    add(program);
  }
  return program;
}

const PROGRAM_HELP = `
Examples:
  postern up                                  gateway and a worker on this machine
  postern predict plants rose.jpg             classify a photo
  postern invite gpu-1 --models plants        let another machine join as a worker
  postern doctor                              check the link to the gateway

Settings come from the environment and from .env in the current folder: see docs/configuration.md.

Exit codes:
  0  it worked
  1  the operation failed
  2  the command or the settings were wrong`;

/** Says what went wrong, and returns the exit code. */
function report(thrown: unknown): number {
  if (thrown instanceof CommanderError) {
    // Help and version end by an exception too; commander has printed what there is to say.
    return thrown.exitCode === 0 ? 0 : EXIT_USAGE;
  }
  const error = toPosternError(thrown);
  const [first = '', ...rest] = error.message.split('\n');
  process.stderr.write(`postern: ${[first, ...rest].map(printable).join('\n')}\n`);
  if (error.code === 'internal' && error.cause instanceof Error && error.cause.stack !== undefined) {
    process.stderr.write(`${error.cause.stack}\nThis is a fault of Postern, not of yours: please report it.\n`);
  }
  return thrown instanceof PosternError && USAGE_CODES.has(thrown.code) ? EXIT_USAGE : EXIT_FAILED;
}

const USAGE_CODES: ReadonlySet<string> = new Set(['config_invalid']);
