/** `postern models`: what can be asked, and whether a worker is there to answer. */
import type { Command } from 'commander';
import {
  clientFor,
  EXIT_CODES_HELP,
  gatewayOption,
  jsonOption,
  keyFileOption,
  type CallerOptions,
} from '../options.ts';
import { addModelStore } from './model-store.ts';
import { addModelTune } from './model-tune.ts';
import { paint, printable, table } from '../terminal.ts';

export function addModels(program: Command): void {
  const models = program
    .command('models')
    .description('list the models that the gateway knows, and their states; or move models about')
    .enablePositionalOptions()
    .helpCommand(false)
    .addOption(gatewayOption())
    .addOption(keyFileOption())
    .addOption(jsonOption('print JSON'))
    .addHelpText('after', `\nExamples:\n  postern models\n  postern models --json | jq '.[].name'\n${EXIT_CODES_HELP}`)
    .action(async (options: CallerOptions) => {
      const known = await clientFor(options).models();
      if (options.json === true) {
        process.stdout.write(`${JSON.stringify(known, null, 2)}\n`);
        return;
      }
      if (known.length === 0) {
        process.stdout.write('No model yet: no worker has connected with one. Start one with: postern worker\n');
        return;
      }
      const rows = known.map((model) => [
        printable(model.name),
        model.versions.map(({ version }) => printable(version)).join(', '),
        paint(process.stdout, model.state === 'ready' ? 'green' : 'yellow', model.state),
        printable(model.kind),
        String(model.versions.reduce((sum, version) => sum + version.workers, 0)),
        String(model.waiting_jobs),
        String(model.processing_jobs),
      ]);
      const right = { right: true };
      process.stdout.write(
        table(
          [
            { title: 'MODEL' },
            { title: 'VERSION' },
            { title: 'STATE' },
            { title: 'KIND' },
            { title: 'WORKERS', ...right },
            { title: 'WAITING', ...right },
            { title: 'RUNNING', ...right },
          ],
          rows,
        ),
      );
    });
  addModelStore(models);
  addModelTune(models);
}
