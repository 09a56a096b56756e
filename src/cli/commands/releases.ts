/** `postern releases`, `switch`, `rollback`, `lock`, `unlock`, `maintenance`: on the machine of the gateway, beside its supervisor. */
import { InvalidArgumentError, type Command } from 'commander';
import { EXIT_CODES_HELP, jsonOption } from '../options.ts';
import type { LockFlags, MaintenanceFlags, SwitchFlags, UnlockFlags } from '../run/releases.ts';

export function addReleases(program: Command): void {
  const releases = program
    .command('releases')
    .description('the releases on this machine: which one serves, and how each of them fared')
    .helpCommand(false)
    .addOption(jsonOption('print JSON'))
    .addHelpText('after', `\nExamples:\n  postern releases\n  postern releases --json\n${EXIT_CODES_HELP}`)
    .action(async (flags: { json?: boolean }) => (await import('../run/releases.ts')).list(flags));
  releases
    .command('describe')
    .description('what a release of this program says of itself (release.json), without id and command')
    .addOption(jsonOption('print JSON'))
    .addHelpText('after', `\nExamples:\n  postern releases describe --json\n${EXIT_CODES_HELP}`)
    .action(async () => (await import('../run/releases.ts')).describe());
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
  program
    .command('switch')
    .description('serve another release: started, checked, verified, and only then the one before it is let go')
    .argument('<release>', 'its id; it lies in releases/ already')
    .option('--lock <owner>', 'who holds the lock, if it is held')
    .addOption(jsonOption('print each step and the result as a JSON line'))
    .addHelpText(
      'after',
      `
When it fails, what served before serves. The release that serves may be named too: it is started anew, with the settings
of now, and nobody notices.

Examples:
  postern switch 3f9a1c0d5e7b2846
${EXIT_CODES_HELP}`,
    )
    .action(async (release: string, flags: SwitchFlags) =>
      (await import('../run/releases.ts')).switchRelease(release, flags),
    );
  program
    .command('rollback')
    .description('serve the release before this one again, at once if it is still warm')
    .argument('[release]', 'another one; default: the one before')
    .option('--lock <owner>', 'who holds the lock, if it is held')
    .addOption(jsonOption('print each step and the result as a JSON line'))
    .addHelpText('after', `\nExamples:\n  postern rollback\n  postern rollback 3f9a1c0d5e7b2846\n${EXIT_CODES_HELP}`)
    .action(async (release: string | undefined, flags: SwitchFlags) =>
      (await import('../run/releases.ts')).rollback(release, flags),
    );
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };
const LONGEST_LOCK_MS = 24 * 3_600_000;

function duration(text: string): number {
  const match = /^(\d{1,6})([smh])$/.exec(text);
  const ms = Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? NaN);
  if (!(ms > 0 && ms <= LONGEST_LOCK_MS)) throw new InvalidArgumentError('Expected a time like 15m, up to 24h.');
  return ms;
}

function addLock(program: Command): void {
  program
    .command('lock')
    .description('keep others from changing what is released, for a while')
    .option('--owner <name>', 'who; default: your name here')
    .option('--for <time>', 'for how long: 90s, 15m, 2h', duration, 900_000)
    .option('--release <id>', 'what is being released, for others to see')
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `\nThe same owner may renew it.\n\nExamples:\n  postern lock --owner ana --for 30m\n${EXIT_CODES_HELP}`,
    )
    .action(async (flags: LockFlags) => (await import('../run/releases.ts')).lock(flags));
  program
    .command('unlock')
    .description('give the lock back')
    .option('--owner <name>', 'who holds it; default: your name here')
    .option('--force', 'whoever holds it')
    .addOption(jsonOption('print JSON'))
    .addHelpText('after', `\nExamples:\n  postern unlock --owner ana\n  postern unlock --force\n${EXIT_CODES_HELP}`)
    .action(async (flags: UnlockFlags) => (await import('../run/releases.ts')).unlock(flags));
}

function addMaintenance(program: Command): void {
  program
    .command('maintenance')
    .description('answer callers by 503 and a text; jobs that were accepted go on')
    .argument('<on|off>', 'on or off', (text: string) => {
      if (text !== 'on' && text !== 'off') throw new InvalidArgumentError('Expected on or off.');
      return text;
    })
    .option('--text <words>', 'what callers are told')
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `\nExamples:\n  postern maintenance on --text "Back at 14:00 UTC."\n  postern maintenance off\n${EXIT_CODES_HELP}`,
    )
    .action(async (state: 'on' | 'off', flags: MaintenanceFlags) =>
      (await import('../run/releases.ts')).maintenance(state, flags),
    );
}
