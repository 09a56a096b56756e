/** `postern allow`: which models a worker may run. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP, jsonOption } from '../options.ts';
import type { AllowFlags } from '../run/allow.ts';
import { allModelsOption, modelsOption, parseWorkerName } from '../worker-options.ts';

export function addAllow(program: Command): void {
  program
    .command('allow')
    .description('change which models a worker may run; run it on the gateway’s machine')
    .argument('<worker>', 'name of the worker', parseWorkerName)
    .addOption(modelsOption())
    .addOption(allModelsOption())
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `
Running gateways follow within a second. With POSTERN_PKI_DIR this is also how a worker is let in: its certificate says who it
is, and this says what for.

Examples:
  postern allow gpu-1 --models plants,clothes
  postern allow gpu-1 --all-models
${EXIT_CODES_HELP}`,
    )
    .action(async (name: string, flags: AllowFlags) => (await import('../run/allow.ts')).allow(name, flags));
}
