/** `postern eval`: how good a model is, measured as its callers would meet it. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { gatewayOption, integer, jsonOption, keyFileOption } from '../options.ts';
import type { EvalFlags } from '../run/eval.ts';

export function addEval(program: Command): void {
  program
    .command('eval')
    .description('measure a model on labelled photos, through the running service')
    .argument('<model>', 'name of the model')
    .argument(
      '<manifest>',
      'CSV with the columns file, class and optionally source and split; the photos beside it, or in photos.tar',
    )
    .option('--split <name>', 'which photos of the manifest; `all` for every one', 'test')
    .option('--concurrency <n>', 'photos under way at once', integer(1, 256), 8)
    .option('--limit <n>', 'only the first n photos', integer(1, 1_000_000))
    .option('--guide <file>', 'entries.json with the danger levels (default: guides/<model>/entries.json)')
    .option('--check <file>', 'targets; the exit code is 1 when one is missed')
    .option('--out <file>', 'write the whole report to this file, as JSON')
    .addOption(gatewayOption())
    .addOption(keyFileOption())
    .addOption(jsonOption('print the whole report as JSON'))
    .addHelpText(
      'after',
      `
Rejected photos and photos without an answer count as wrong. Merged classes are taken from labels.json of the model.

Examples:
  postern eval plants data/plants/manifest.csv
  postern eval plants data/plants/manifest.csv --check models/plants/targets.json --out report.json

Exit codes: 0 it was measured (and every target met), 1 it could not be, or a target was missed,
2 the command or the settings were wrong.`,
    )
    .action(async (model: string, manifest: string, flags: EvalFlags) => {
      process.exitCode = await (await import('../run/eval.ts')).evaluate(model, resolve(manifest), flags);
    });
}
