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
import type { ModelSummary } from '../../client/shapes.ts';
import { addModelStore } from './model-store.ts';
import { addModelTune } from './model-tune.ts';
import { addModelVersions } from './model-versions.ts';
import { paint, printable, table } from '../terminal.ts';

export function addModels(program: Command): void {
  const models = program
    .command('models')
    .description('list the models that the gateway knows, and their states; deploy versions; move models about')
    .enablePositionalOptions()
    .helpCommand(false)
    .addOption(gatewayOption())
    .addOption(keyFileOption())
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `\nExamples:\n  postern models\n  postern models --json | jq '.[].name'\n  postern models deploy plants@2\n${EXIT_CODES_HELP}`,
    )
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
        versionsText(model),
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
            { title: 'VERSIONS' },
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
  addModelVersions(models);
  addModelStore(models);
  addModelTune(models);
}

/** What serves first, with its share where there are several; what does not serve, with its state unless it is only ready. */
function versionsText({ versions }: ModelSummary): string {
  return [...versions]
    .sort((a, b) => b.weight - a.weight)
    .map(({ version, state, weight }) => {
      const share = weight > 0 && versions.length > 1 ? ` ${weight} %` : '';
      return `${printable(version)}${share}${state === 'ready' ? '' : ` ${state}`}`;
    })
    .join(', ');
}
