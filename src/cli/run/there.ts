/** Runs a command of the release that serves on another machine, and passes on what it says. */
import { resolve } from 'node:path';
import { programScript } from '../../deploy/remote/scripts.ts';
import { checkFolder, checkTarget } from '../../deploy/remote/shell.ts';
import { openSite } from '../../deploy/remote/site.ts';
import { openRemote } from '../../deploy/remote/ssh.ts';
import { PosternError } from '../../errors.ts';

export interface ThereFlags {
  readonly dir: string;
  readonly sshConfig?: string;
  readonly json?: boolean;
}

export async function there(machine: string, flags: ThereFlags, args: readonly string[]): Promise<void> {
  const { dir, sshConfig, json } = flags;
  const remote = await openRemote({
    target: checkTarget(machine),
    ...(sshConfig === undefined ? {} : { configFile: resolve(sshConfig) }),
  });
  try {
    const site = await openSite(remote, checkFolder('--dir', dir));
    if (site.probe.current === null) {
      throw new PosternError('config_invalid', `${machine} has no release in ${site.dir}: postern deploy ${machine}`);
    }
    const ended = await site.run(programScript(site.dir, null, [...args, ...(json === true ? ['--json'] : [])]), {
      onLine: (line) => void process.stdout.write(`${line}\n`),
    });
    if (ended.err !== '') process.stderr.write(`${ended.err}\n`);
    process.exitCode = ended.code;
  } finally {
    await remote.close();
  }
}
