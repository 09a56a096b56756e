/** `postern issue`: a worker's identity, to be carried to the private machine. */
import type { Command } from 'commander';
import { EXIT_CODES_HELP, integer } from '../options.ts';
import type { IssueFlags } from '../run/issue.ts';

export function addIssue(program: Command): void {
  program
    .command('issue')
    .description('make the identity of a worker: run it on the gateway, carry the folder to the worker')
    .argument('<worker>', 'name of the worker: lower-case letters, digits, hyphens')
    .option('--out <folder>', 'where to write it (default: ./<worker>-identity)')
    .option('--days <n>', 'how long the certificate counts', integer(1, 825), 90)
    .option('--force', 'replace an identity that is already in the folder')
    .addHelpText(
      'after',
      `
The folder holds a private key: carry it over SSH, and remove it here afterwards.

Examples:
  postern issue gpu-1
  scp -r gpu-1-identity gpu-box:postern/data/worker && rm -r gpu-1-identity
${EXIT_CODES_HELP}`,
    )
    .action(async (name: string, flags: IssueFlags) => (await import('../run/issue.ts')).issue(name, flags));
}
