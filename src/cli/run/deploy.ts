/** Deploys to another machine: makes the options out of the flags, and tells what happens. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { systemClock } from '../../clock.ts';
import { deploy as deployTo } from '../../deploy/remote/deploy.ts';
import { checkPublicKey } from '../../deploy/remote/provision.ts';
import { checkFolder, checkTarget } from '../../deploy/remote/shell.ts';
import { PosternError } from '../../errors.ts';
import { isHttpUrl } from '../config.ts';
import { createDeployReport } from '../deploy-report.ts';
import { personHere } from '../person.ts';
import { checkUserName, makeRelease, PROGRAM_ROOT } from '../make-release.ts';

export interface DeployFlags {
  readonly dir: string;
  readonly provision?: boolean;
  readonly user: string;
  readonly deployKey?: string;
  readonly publicUrl?: string;
  readonly backup: boolean;
  readonly dryRun?: boolean;
  readonly settings?: string;
  readonly source?: string;
  readonly owner?: string;
  readonly sshConfig?: string;
  readonly acceptNewHost?: boolean;
  readonly json?: boolean;
}

export async function deploy(target: string, flags: DeployFlags): Promise<void> {
  const source = flags.source === undefined ? PROGRAM_ROOT : resolve(flags.source);
  const { publicUrl } = flags;
  if (publicUrl !== undefined && !isHttpUrl(publicUrl)) {
    throw new PosternError('config_invalid', '--public-url: expected a URL like https://gateway.example.org');
  }
  const report = createDeployReport({ json: flags.json === true });
  try {
    const result = await deployTo({
      ssh: {
        target: checkTarget(target),
        ...(flags.sshConfig === undefined ? {} : { configFile: resolve(flags.sshConfig) }),
        acceptNewHost: flags.acceptNewHost === true,
      },
      dir: checkFolder('--dir', flags.dir),
      build: (platform, step) => makeRelease(source, 'gateway', step, platform),
      owner: checkOwner(flags.owner ?? personHere()),
      settings: flags.settings === undefined ? null : readText('--settings', flags.settings),
      provision: flags.provision === true ? provisioning(flags) : null,
      backup: flags.backup,
      publicUrl: publicUrl?.replace(/\/+$/, '') ?? null,
      dryRun: flags.dryRun === true,
      clock: systemClock,
      onEvent: report.event,
    });
    report.result(result);
  } finally {
    report.end();
  }
}

function provisioning({ user, deployKey, dir }: DeployFlags): { user: string; work: string; deployKey: string | null } {
  checkUserName(user);
  if (dir.startsWith('~'))
    throw new PosternError('config_invalid', '--dir: expected an absolute folder with --provision');
  const key = deployKey === undefined ? null : checkPublicKey(readText('--deploy-key', deployKey));
  return { user, work: `/var/lib/${user}`, deployKey: key };
}

function readText(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new PosternError('config_invalid', `${option} ${file} cannot be read (${(error as Error).message})`);
  }
}

/** With something of its own behind it: two deploys of one person exclude each other, too. */
function checkOwner(name: string): string {
  if (!/^[\w.@+-]{1,80}$/.test(name)) {
    throw new PosternError('config_invalid', `--owner: expected a name like ana@laptop, got "${name.slice(0, 40)}"`);
  }
  return `${name}:${randomBytes(3).toString('hex')}`;
}
