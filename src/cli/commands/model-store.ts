/** `postern models pull`, `push` and `keygen`: models between a shared place and the repository of this machine. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { parseModelRef, type ModelRef } from '../../modelstore/manifest.ts';
import { EXIT_CODES_HELP, integer, jsonOption } from '../options.ts';
import type { PullFlags, PushFlags } from '../run/model-store.ts';

const PLACES = 's3://bucket/prefix, https://host/path, or a folder';

export function addModelStore(models: Command): void {
  models
    .command('pull')
    .description('bring models from a shared place into POSTERN_MODELS_DIR')
    .argument('<place>', PLACES)
    .argument('[model]', 'name, or name@version; by default the newest version of every model there', modelRef)
    .option('--verify-key <file>', 'refuse what the holder of this public key has not signed')
    .addOption(maxGibOption())
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `
Every file is compared with the SHA-256 of its manifest; the version appears in the repository whole or not at all. What was
cut off goes on where it stood: run the same command again. A version that is there already, and equal, is left as it is.
A worker that watches its repository takes a new version by itself; any other one at its next start.

Examples:
  postern models pull s3://my-models/prod plants@2
  postern models pull https://models.example/prod plants@2 --verify-key team.pub
  postern models pull s3://my-models/prod                      everything, as a new machine does
${EXIT_CODES_HELP}`,
    )
    .action(async (place: string, model: ModelRef | undefined, flags: PullFlags) =>
      (await import('../run/model-store.ts')).pull(place, model ?? null, flags),
    );
  models
    .command('push')
    .description('send a version from POSTERN_MODELS_DIR to a shared place')
    .argument('<place>', 's3://bucket/prefix, or a folder')
    .argument('<model>', 'name@version, or name for its newest version', modelRef)
    .option('--sign-key <file>', 'sign the manifest with this private key')
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `
The manifest comes last, so nobody pulls half a version. What was sent before is not sent again, neither after a cut nor with
another version that has the same weights. What is published does not change: a changed model needs another version.

Examples:
  postern models push s3://my-models/prod plants@2
  postern models push /srv/www/models plants --sign-key ~/.postern/team.key
${EXIT_CODES_HELP}`,
    )
    .action(async (place: string, model: ModelRef, flags: PushFlags) =>
      (await import('../run/model-store.ts')).push(place, model, flags),
    );
  models
    .command('keygen')
    .description('make a pair of keys: one signs what is pushed, the other checks what is pulled')
    .argument('<file>', 'where the private key goes; the public one beside it, with .pub')
    .addHelpText('after', `\nExamples:\n  postern models keygen team.key\n${EXIT_CODES_HELP}`)
    .action(async (file: string) => (await import('../run/model-store.ts')).keygen(file));
}

const maxGibOption = (): Option =>
  new Option('--max-gib <n>', 'refuse a version whose files are larger in all')
    .argParser(integer(1, 4_096))
    .default(64);

function modelRef(text: string): ModelRef {
  const ref = parseModelRef(text);
  if (ref === null)
    throw new InvalidArgumentError('Expected a name like plants, or a name and a version like plants@2.');
  return ref;
}
