/** Makes a worker's identity with the gateway's authority. */
import { access } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { PosternError } from '../../errors.ts';
import { writeWorkerIdentity } from '../../identity/worker.ts';
import { loadConfig } from '../env.ts';
import { openGatewayIdentity } from '../gateway-identity.ts';

export interface IssueFlags {
  readonly out?: string;
  readonly days: number;
  readonly force?: boolean;
}

const DAY_MS = 86_400_000;

export async function issue(name: string, flags: IssueFlags): Promise<void> {
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
  process.stdout.write('Carry it to the worker’s POSTERN_IDENTITY_DIR (default: data/worker), then remove it here.\n');
}

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );
