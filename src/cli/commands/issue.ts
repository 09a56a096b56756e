/** `postern issue`: a worker's identity, made by the gateway's authority, to be carried to the private machine. */
import { access } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { PosternError } from '../../errors.ts';
import { writeWorkerIdentity } from '../../identity/worker.ts';
import { loadConfig } from '../env.ts';
import { openGatewayIdentity } from '../gateway-process.ts';
import { EXIT_CODES_HELP, integer } from '../options.ts';

interface IssueFlags {
  readonly out?: string;
  readonly days: number;
  readonly force?: boolean;
}

const DAY_MS = 86_400_000;

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
    .action(async (name: string, flags: IssueFlags) => {
      const config = loadConfig();
      const folder = resolve(flags.out ?? `./${name}-identity`);
      if (flags.force !== true && (await exists(join(folder, 'worker.key')))) {
        throw new PosternError(
          'config_invalid',
          `${folder} already holds an identity: choose another --out, or replace it with --force`,
        );
      }
      const identity = await openGatewayIdentity(config, config.tunnelHost ?? '0.0.0.0');
      const made = await identity.issueWorker(name, flags.days * DAY_MS);
      await writeWorkerIdentity(folder, { ...made, caPem: identity.caPem });
      process.stdout.write(`Identity of worker ${name}, good for ${flags.days} days: ${folder}\n`);
      process.stdout.write(
        'Carry it to the worker’s POSTERN_IDENTITY_DIR (default: data/worker), then remove it here.\n',
      );
    });
}

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );
