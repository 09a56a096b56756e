/** `postern audit`: what was done to this gateway, by whom, and whether the log of it is whole. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP, integer, jsonOption } from '../options.ts';
import type { AuditListFlags, AuditVerifyFlags } from '../run/audit.ts';

export function addAudit(program: Command): void {
  const audit = program
    .command('audit')
    .description('read and check the log of administrative acts; run it on the gateway’s machine')
    .helpCommand(false);
  audit
    .command('list')
    .description('the newest entries')
    .option('--limit <n>', 'how many', integer(1, 10_000), 50)
    .option('--before <seq>', 'only entries before this number', integer(1, Number.MAX_SAFE_INTEGER))
    .addOption(jsonOption('print one JSON line per entry'))
    .addHelpText(
      'after',
      `\nExamples:\n  postern audit list\n  postern audit list --limit 1000 --json\n${EXIT_CODES_HELP}`,
    )
    .action(async (flags: AuditListFlags) => (await import('../run/audit.ts')).listEntries(flags));
  audit
    .command('verify')
    .description('calculate every hash anew: was an entry changed, left out or cut off?')
    .option('--head <seq:hash>', 'what `postern audit head` printed earlier; it must still be part of the log')
    .addOption(jsonOption('print JSON'))
    .addHelpText(
      'after',
      `
Without --head the check finds what was changed by hand. Somebody who writes the whole log anew is found only with a head
that was kept on another machine.

Examples:
  postern audit verify
  postern audit verify --head "$(cat audit-head.txt)"

Exit codes: 0 the log is whole, 1 it is not, 2 the command or the settings were wrong.`,
    )
    .action(async (flags: AuditVerifyFlags) => (await import('../run/audit.ts')).verify(flags));
  audit
    .command('head')
    .description('the newest entry as <seq>:<hash>, to be kept on another machine')
    .addHelpText('after', `\nExamples:\n  postern audit head | ssh backup 'cat > audit-head.txt'\n${EXIT_CODES_HELP}`)
    .action(async () => (await import('../run/audit.ts')).head());
}
