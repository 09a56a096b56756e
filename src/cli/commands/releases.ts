/**
 * `postern releases`, `switch`, `rollback`, `lock`, `unlock`, `maintenance`: beside the supervisor of this machine, or, when a
 * machine is named, over SSH by the release that serves there.
 */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { personHere } from '../person.ts';
import { EXIT_CODES_HELP, jsonOption } from '../options.ts';
import type { ThereFlags } from '../run/there.ts';
import { DEFAULT_DEPLOY_DIR } from './deploy.ts';
import type { LockFlags, MaintenanceFlags, SwitchFlags, UnlockFlags } from '../run/releases.ts';

const MACHINE = 'user@host: over SSH, on that machine; without it, on this one';

/** How another machine is reached. */
const onMachine = (command: Command): Command =>
  command
    .option('--dir <folder>', 'with a machine: where releases lie there', DEFAULT_DEPLOY_DIR)
    .option('--ssh-config <file>', 'with a machine: a configuration for ssh in the place of ~/.ssh/config')
    .addOption(jsonOption('print JSON'));

/** Asks the machine, if one was named. */
async function asked(machine: string | undefined, flags: ThereFlags, args: readonly string[]): Promise<boolean> {
  if (machine === undefined) return false;
  await (await import('../run/there.ts')).there(machine, flags, args);
  return true;
}

export function addReleases(program: Command): void {
  const releases = onMachine(program.command('releases'))
    .description('the releases on this machine: which one serves, and how each of them fared')
    .argument('[machine]', MACHINE)
    .helpCommand(false)
    .addHelpText(
      'after',
      `\nExamples:\n  postern releases\n  postern releases postern@gateway.example.org\n${EXIT_CODES_HELP}`,
    )
    .action(async (machine: string | undefined, flags: ThereFlags) => {
      if (await asked(machine, flags, ['releases'])) return;
      await (await import('../run/releases.ts')).list(flags);
    });
  releases
    .command('describe')
    .description('what a release of this program says of itself (release.json), without id and command')
    .addOption(jsonOption('print JSON'))
    .addHelpText('after', `\nExamples:\n  postern releases describe --json\n${EXIT_CODES_HELP}`)
    .action(async () => (await import('../run/releases.ts')).describe());
  releases
    .command('pack')
    .description('make a release of this clone and write it into a folder, for machines that fetch it themselves')
    .requiredOption('--out <folder>', 'where release.json and layers/ go; layers that are there already stay')
    .option('--source <folder>', 'the clone to make the release of, after npm ci (default: the one of this program)')
    .addOption(new Option('--cpu <name>', 'of the machines that will run it').choices(['x64', 'arm64']))
    .addOption(jsonOption('print release.json'))
    .addHelpText(
      'after',
      `
A layer is named by the SHA-256 of its archive (gzip, tar), and release.json lists them: unpacked one after another into one
folder they are the release. The same clone gives the same bytes.

Examples:
  postern releases pack --out release
${EXIT_CODES_HELP}`,
    )
    .action(async (_flags: object, command: Command) =>
      (await import('../run/pack.ts')).pack(command.optsWithGlobals()),
    );
  releases
    .command('prune')
    .description('remove releases that nobody needs; a switch does so by itself')
    .addOption(jsonOption('print JSON'))
    .addHelpText('after', `\nExamples:\n  postern releases prune\n${EXIT_CODES_HELP}`)
    .action(async (_flags: object, command: Command) =>
      (await import('../run/releases.ts')).pruneReleases(command.optsWithGlobals()),
    );
  addSwitch(program);
  addLock(program);
  addMaintenance(program);
}

function addSwitch(program: Command): void {
  onMachine(program.command('switch'))
    .description('serve another release: started, checked, verified, and only then the one before it is let go')
    .argument('<release>', 'its id; it lies in releases/ already')
    .argument('[machine]', MACHINE)
    .option('--lock <owner>', 'who holds the lock, if it is held')
    .addHelpText(
      'after',
      `
When it fails, what served before serves. The release that serves may be named too: it is started anew, with the settings
of now, and nobody notices.

Examples:
  postern switch 3f9a1c0d5e7b2846
${EXIT_CODES_HELP}`,
    )
    .action(async (release: string, machine: string | undefined, flags: SwitchFlags & ThereFlags) => {
      if (await asked(machine, flags, ['switch', release, ...option('--lock', flags.lock)])) return;
      await (await import('../run/releases.ts')).switchRelease(release, flags);
    });
  onMachine(program.command('rollback'))
    .description('serve the release before this one again, at once if it is still warm')
    .argument('[release]', 'another one; default: the one before')
    .argument('[machine]', MACHINE)
    .option('--lock <owner>', 'who holds the lock, if it is held')
    .addHelpText(
      'after',
      `\nExamples:\n  postern rollback\n  postern rollback 3f9a1c0d5e7b2846\n  postern rollback postern@gateway.example.org\n${EXIT_CODES_HELP}`,
    )
    .action(async (first: string | undefined, second: string | undefined, flags: SwitchFlags & ThereFlags) => {
      // A release is hexadecimal digits, and may be left out before a machine.
      const isRelease = first === undefined || /^[0-9a-f]{16,64}$/.test(first);
      const [release, machine] = isRelease ? [first, second] : [undefined, first];
      const args = ['rollback', ...(release === undefined ? [] : [release]), ...option('--lock', flags.lock)];
      if (await asked(machine, flags, args)) return;
      await (await import('../run/releases.ts')).rollback(release, flags);
    });
}

const option = (name: string, value: string | undefined): string[] => (value === undefined ? [] : [name, value]);

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };
const LONGEST_LOCK_MS = 24 * 3_600_000;

function duration(text: string): number {
  const match = /^(\d{1,6})([smh])$/.exec(text);
  const ms = Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? NaN);
  if (!(ms > 0 && ms <= LONGEST_LOCK_MS)) throw new InvalidArgumentError('Expected a time like 15m, up to 24h.');
  return ms;
}

function addLock(program: Command): void {
  onMachine(program.command('lock'))
    .description('keep others from changing what is released, for a while')
    .argument('[machine]', MACHINE)
    .option('--owner <name>', 'who; default: your name here')
    .option('--for <time>', 'for how long: 90s, 15m, 2h', duration, 900_000)
    .option('--release <id>', 'what is being released, for others to see')
    .addHelpText(
      'after',
      `\nThe same owner may renew it.\n\nExamples:\n  postern lock --owner ana --for 30m\n${EXIT_CODES_HELP}`,
    )
    .action(async (machine: string | undefined, flags: LockFlags & ThereFlags) => {
      const { owner = personHere(), release } = flags;
      const args = ['lock', '--owner', owner, '--for', `${flags.for / 1000}s`, ...option('--release', release)];
      if (await asked(machine, flags, args)) return;
      await (await import('../run/releases.ts')).lock(flags);
    });
  onMachine(program.command('unlock'))
    .description('give the lock back')
    .argument('[machine]', MACHINE)
    .option('--owner <name>', 'who holds it; default: your name here')
    .option('--force', 'whoever holds it')
    .addHelpText('after', `\nExamples:\n  postern unlock --owner ana\n  postern unlock --force\n${EXIT_CODES_HELP}`)
    .action(async (machine: string | undefined, flags: UnlockFlags & ThereFlags) => {
      const { owner = personHere(), force } = flags;
      const args = ['unlock', '--owner', owner, ...(force === true ? ['--force'] : [])];
      if (await asked(machine, flags, args)) return;
      await (await import('../run/releases.ts')).unlock(flags);
    });
}

function addMaintenance(program: Command): void {
  onMachine(program.command('maintenance'))
    .description('answer callers by 503 and a text; jobs that were accepted go on')
    .argument('<on|off>', 'on or off', (text: string) => {
      if (text !== 'on' && text !== 'off') throw new InvalidArgumentError('Expected on or off.');
      return text;
    })
    .argument('[machine]', MACHINE)
    .option('--text <words>', 'what callers are told')
    .addHelpText(
      'after',
      `\nExamples:\n  postern maintenance on --text "Back at 14:00 UTC."\n  postern maintenance off\n${EXIT_CODES_HELP}`,
    )
    .action(async (state: 'on' | 'off', machine: string | undefined, flags: MaintenanceFlags & ThereFlags) => {
      if (await asked(machine, flags, ['maintenance', state, ...option('--text', flags.text)])) return;
      await (await import('../run/releases.ts')).maintenance(state, flags);
    });
}
