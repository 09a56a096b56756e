/** `postern keys`: who may call this gateway, and what they may do. */
import { InvalidArgumentError, type Command } from 'commander';
import { SCOPES, type Scope } from '../../identity/keys/key.ts';
import { EXIT_CODES_HELP, integer, jsonOption } from '../options.ts';
import type { KeyCreateFlags, KeyListFlags } from '../run/keys.ts';

export function addKeys(program: Command): void {
  const keys = program
    .command('keys')
    .description('make, list and revoke the API keys of callers; run it on the gateway’s machine')
    .helpCommand(false);
  keys
    .command('create')
    .description('make a key and print it: this once, it is kept nowhere')
    .argument('<name>', 'who or what will have it, for the list')
    .option('--scope <list>', `what it may do: ${SCOPES.join(', ')} (comma between)`, scopes, ['predict'])
    .option('--models <list>', 'models that it may use, comma between (default: all)', names)
    .option('--rate <n>', 'requests a second on the long run (default: no limit)', positive)
    .option('--burst <n>', 'requests at once after a pause (default: as many as in one second)', integer(1, 100_000))
    .option(
      '--max-undecided <n>',
      'predictions that may be undecided at once (default: no limit)',
      integer(1, 1_000_000),
    )
    .option('--expires <time>', 'days from now, or a date: 90d, 12h, 2027-01-31 (default: never)')
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `
Scopes: predict makes predictions and reads its own; read changes nothing (models, workers, metrics); admin does everything
and sees the predictions of all keys.

As soon as there is a key, the gateway lets nobody in without one, on this machine either. Running gateways know of a new or
revoked key within a second.

Examples:
  postern keys create "web front end" --models plants --rate 20 --burst 100 --max-undecided 200
  postern keys create prometheus --scope read
  postern keys create ada --scope admin --expires 90d > ada.key
${EXIT_CODES_HELP}`,
    )
    .action(async (name: string, flags: KeyCreateFlags) => (await import('../run/keys.ts')).create(name, flags));
  keys
    .command('list')
    .description('the keys, without what must stay secret')
    .option('--all', 'revoked and expired ones too')
    .addOption(jsonOption('print JSON'))
    .addHelpText('after', `\nExamples:\n  postern keys list\n  postern keys list --all --json\n${EXIT_CODES_HELP}`)
    .action(async (flags: KeyListFlags) => (await import('../run/keys.ts')).list(flags));
  keys
    .command('revoke')
    .description('end a key: what waits or streams with it is cut within a second')
    .argument('<id>', 'as `postern keys list` shows it, or the key itself on standard input: -')
    .addHelpText(
      'after',
      `
Predictions that the key has made go on, and can be read and canceled with an admin key.

Examples:
  postern keys revoke 3k9x0c2m1q7z
  postern keys revoke - < leaked.key
${EXIT_CODES_HELP}`,
    )
    .action(async (id: string) => (await import('../run/keys.ts')).revoke(id));
}

const names = (text: string): string[] =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');

function scopes(text: string): Scope[] {
  const list = names(text);
  const wrong = list.find((name) => !(SCOPES as readonly string[]).includes(name));
  if (wrong !== undefined || list.length === 0)
    throw new InvalidArgumentError(`Expected some of ${SCOPES.join(', ')}.`);
  return list as Scope[];
}

function positive(text: string): number {
  const value = Number(text);
  if (!/^\d{1,6}(?:\.\d{1,6})?$/.test(text) || value <= 0) {
    throw new InvalidArgumentError('Expected a number above 0, such as 20 or 0.5.');
  }
  return value;
}
