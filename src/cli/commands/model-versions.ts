/** `postern models deploy`, `rollback` and `versions`: which version of a model callers get. */
import { InvalidArgumentError, type Command } from 'commander';
import { parseModelRef } from '../../modelstore/manifest.ts';
import { EXIT_CODES_HELP, gatewayOption, integer, jsonOption, keyFileOption, type CallerOptions } from '../options.ts';
import type { DeployFlags, RollbackFlags } from '../run/model-versions.ts';

export function addModelVersions(models: Command): void {
  const callers = (command: Command): Command =>
    command.addOption(gatewayOption()).addOption(keyFileOption()).addOption(jsonOption('print JSON'));
  callers(
    models
      .command('deploy')
      .description('serve another version, on every worker that has it')
      .argument('<model>', 'name@version', versionRef)
      .option('--weight <percent>', 'share of the predictions that name no version (0: none)', integer(0, 100), 100)
      .option('--allow-downtime', 'unload what serves first, where the memory does not hold both: predictions wait')
      .option('--timeout <s>', 'wait so long for the workers', integer(1, 86_400), 600)
      .option('--no-wait', 'end when it is decided'),
  )
    .addHelpText(
      'after',
      `
Each worker loads the version, tries it with a real inference, and changes over when it is ready; nobody waits for that, and what
runs is finished by the version that began it. Where it cannot be loaded, the version before stays, and the reason is printed. The one
that is replaced stays loaded for a while (POSTERN_MODEL_SOAK_MS): \`postern models rollback\` works at once. The choice outlives restarts.

Ctrl-C ends the waiting, not the deployment. The gateway is asked with an admin key, where it has keys.

Examples:
  postern models deploy plants@2
  postern models deploy plants@2 --weight 10         one prediction in ten; then 50, then no weight
  postern models rollback plants
${EXIT_CODES_HELP}`,
    )
    .action(async ({ name, version }: VersionRef, flags: DeployFlags) =>
      (await import('../run/model-versions.ts')).deploy(name, version, flags),
    );
  callers(
    models
      .command('rollback')
      .description('go back to the version before, with all of the work')
      .argument('<model>', 'name', bareName)
      .option('--timeout <s>', 'wait so long, should it have to be loaded again', integer(1, 86_400), 600)
      .option('--no-wait', 'end when it is decided'),
  )
    .addHelpText(
      'after',
      `
At once, where the version before is still loaded; a second rollback goes forward again.

Examples:
  postern models rollback plants
${EXIT_CODES_HELP}`,
    )
    .action(async (name: string, flags: RollbackFlags) =>
      (await import('../run/model-versions.ts')).rollback(name, flags),
    );
  callers(
    models
      .command('versions')
      .description('show which versions each worker has, and what is deployed')
      .argument('[model]', 'one model only', bareName),
  )
    .addHelpText(
      'after',
      `\nExamples:\n  postern models versions\n  postern models versions plants --json\n${EXIT_CODES_HELP}`,
    )
    .action(async (name: string | undefined, flags: CallerOptions) =>
      (await import('../run/model-versions.ts')).versions(name ?? null, flags),
    );
}

interface VersionRef {
  readonly name: string;
  readonly version: string;
}

function versionRef(text: string): VersionRef {
  const { name, version } = parseModelRef(text) ?? {};
  if (name !== undefined && version) return { name, version };
  throw new InvalidArgumentError('Expected a model and its version, like plants@2.');
}

function bareName(text: string): string {
  const { name, version } = parseModelRef(text) ?? {};
  if (name !== undefined && !version) return name;
  throw new InvalidArgumentError('Expected the name of a model, like plants.');
}
