/** `postern scaling`: how many machines are wanted, as `/v1/scaling` says. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { BOUNDS, type TargetBound } from '../../gateway/scaling/targets.ts';
import { EXIT_CODES_HELP, gatewayOption, jsonOption, keyFileOption } from '../options.ts';
import type { ScalingOptions } from '../run/scaling.ts';

const bounds: Readonly<Record<string, TargetBound>> = BOUNDS;

function addTarget(text: string, before: Readonly<Record<string, number>>): Record<string, number> {
  const at = text.indexOf('=');
  const [name, value] = [text.slice(0, Math.max(0, at)), text.slice(at + 1)];
  const bound = Object.hasOwn(bounds, name) ? bounds[name] : undefined;
  if (bound === undefined) {
    throw new InvalidArgumentError(`Expected name=value with one of ${Object.keys(bounds).join(', ')}.`);
  }
  const number = /^\d{1,9}(\.\d{1,9})?$/.test(value) ? Number(value) : NaN;
  if (!(number >= bound.min && number <= bound.max) || (bound.whole === true && !Number.isInteger(number))) {
    const what = bound.whole === true ? 'a whole number' : 'a number';
    throw new InvalidArgumentError(`Expected ${what} from ${bound.min} to ${bound.max} for ${name}.`);
  }
  return { ...before, [name]: number };
}

export function addScaling(program: Command): void {
  program
    .command('scaling')
    .description('say how many workers and gateways there are, how many are wanted, and why')
    .option('--model <name>', 'of this model alone')
    .addOption(
      new Option('--target <name=value>', 'another target than the usual one (may be repeated)')
        .default({}, 'the usual ones')
        .argParser(addTarget),
    )
    .addOption(gatewayOption())
    .addOption(keyFileOption())
    .addOption(jsonOption('print JSON, as GET /v1/scaling has it'))
    .addHelpText(
      'after',
      `
Nothing is started or stopped: that is for whatever manages your machines, which asks the same (docs/scaling.md).

Targets:              usual    may be
${Object.entries(bounds)
  .map(([name, { min, max, default: usual }]) => `  ${name.padEnd(20)}${String(usual).padEnd(9)}${min} to ${max}`)
  .join('\n')}

Examples:
  postern scaling
  postern scaling --model plants --target min_workers=0 --target max_workers=8
  postern scaling --model plants --json | jq '.models[0].wanted_workers'
${EXIT_CODES_HELP}`,
    )
    .action(async (options: ScalingOptions) => (await import('../run/scaling.ts')).scaling(options));
}
