/** `postern models tune`: which batch, how many instances and threads suit a model on this machine. */
import { InvalidArgumentError, type Command } from 'commander';
import { parseModelRef, type ModelRef } from '../../modelstore/manifest.ts';
import { EXIT_CODES_HELP, integer, jsonOption } from '../options.ts';
import type { TuneFlags } from '../run/model-tune.ts';

export function addModelTune(models: Command): void {
  models
    .command('tune')
    .description('measure a model on this machine, and propose its batch, concurrency and threads')
    .argument('<model>', 'name, or name@version; by default the newest version in POSTERN_MODELS_DIR', modelRef)
    .option('--max-rows <n>', 'the largest batch to try', integer(1, 1_024), 64)
    .option('--max-ms <n>', 'the longest that a batch may take: callers wait for it', integer(1, 600_000), 250)
    .option('--seconds <n>', 'how long to measure each setting; 0: three batches of each', integer(0, 60), 1)
    .option('--write', 'put what is proposed into postern.yaml; otherwise nothing is changed')
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `
It runs the model by itself, without gateway and network, with the input of its warm-up, while nothing else should run on this
machine. It takes one to some minutes. Of all settings that give at least 95 % of the most, the quickest is proposed.

Examples:
  postern models tune plants
  postern models tune plants@2 --max-ms 50 --write
${EXIT_CODES_HELP}`,
    )
    .action(async (model: ModelRef, flags: TuneFlags) => (await import('../run/model-tune.ts')).tune(model, flags));
}

function modelRef(text: string): ModelRef {
  const ref = parseModelRef(text);
  if (ref === null)
    throw new InvalidArgumentError('Expected a name like plants, or a name and a version like plants@2.');
  return ref;
}
