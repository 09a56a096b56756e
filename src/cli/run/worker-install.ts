/** Installs the worker of this machine, or replaces it: as root for the system, otherwise for the user. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { systemClock } from '../../clock.ts';
import { openLocal } from '../../deploy/remote/local.ts';
import { checkFolder } from '../../deploy/remote/shell.ts';
import { openSite } from '../../deploy/remote/site.ts';
import { createSteps } from '../../deploy/remote/steps.ts';
import { unitText, WORKER_UNIT } from '../../deploy/systemd/unit.ts';
import { installWorker, type InstallResult } from '../../deploy/worker/install.ts';
import { systemdManager } from '../../deploy/worker/manager.ts';
import { PosternError } from '../../errors.ts';
import { createDeployReport } from '../deploy-report.ts';
import { chosen, loadConfig } from '../env.ts';
import { checkUserName, makeRelease, PROGRAM_ROOT } from '../make-release.ts';
import { SETTINGS, type Setting, type SettingKey } from '../settings.ts';

export interface InstallFlags {
  readonly dir?: string;
  readonly user: string;
  readonly source?: string;
  readonly printUnit?: boolean;
  readonly start: boolean;
  readonly json?: boolean;
}

export async function install(flags: InstallFlags): Promise<void> {
  const isRoot = userInfo().uid === 0;
  const user = isRoot ? checkUserName(flags.user) : null;
  const dir = checkFolder(
    '--dir',
    flags.dir ?? (isRoot ? '/opt/postern-worker' : join(homedir(), '.local/share/postern-worker')),
  );
  const work = join(dir, 'work');
  const drainS = Math.ceil(loadConfig().drainMs / 1000);
  const text = unitText({ type: 'worker', dir, work, user, groups: gpuGroups(), drainS });
  if (flags.printUnit === true) {
    process.stdout.write(text);
    return;
  }
  if (user !== null) makeUser(user);
  const report = createDeployReport({ json: flags.json === true });
  const identity = isRoot ? join(work, 'data/worker') : loadConfig().identityDir;
  const hasJoined = existsSync(join(identity, 'worker.pem'));
  const manager = flags.start && hasJoined ? systemdManager(!isRoot) : null;
  try {
    const result = await installWorker({
      site: await openSite(openLocal(), dir),
      build: (step) => makeRelease(flags.source === undefined ? PROGRAM_ROOT : resolve(flags.source), 'worker', step),
      settings: settingsOfNow(isRoot),
      user,
      unit: { file: join(isRoot ? '/etc/systemd/system' : join(homedir(), '.config/systemd/user'), WORKER_UNIT), text },
      manager,
      clock: systemClock,
      steps: createSteps(report.event, () => systemClock.monotonic()),
    });
    if (flags.json === true) process.stdout.write(`${JSON.stringify({ type: 'result', ...result })}\n`);
    else process.stdout.write(endWords(result, { dir, isRoot, hasJoined, wanted: flags.start }));
  } finally {
    report.end();
  }
}

interface Circumstances {
  readonly dir: string;
  readonly isRoot: boolean;
  readonly hasJoined: boolean;
  readonly wanted: boolean;
}

function endWords({ release, started }: InstallResult, { dir, isRoot, hasJoined, wanted }: Circumstances): string {
  if (started) {
    const linger = isRoot ? '' : 'So that it starts with the machine and not with your login: loginctl enable-linger\n';
    return `\nThe worker runs release ${release}. Its log: journalctl ${isRoot ? '-u' : '--user -u'} ${WORKER_UNIT}\n${linger}`;
  }
  const placed = `\nRelease ${release} is in its place.`;
  if (wanted && !hasJoined) {
    return `${placed} It has no identity yet: ${dir}/postern join <token>, and install again.\n`;
  }
  const why = !wanted
    ? ''
    : isWsl()
      ? ' systemd does not run here. On WSL: put the lines [boot] and systemd=true into /etc/wsl.conf, run wsl --shutdown on Windows, and install again.'
      : ' systemd does not run here, and nothing was started.';
  return `${placed}${why}\nBy hand: ${dir}/postern worker\n`;
}

const isWsl = (): boolean => /microsoft/i.test(readFileSync('/proc/sys/kernel/osrelease', 'utf8'));

/** Those that may use a GPU, where the system has such groups. */
function gpuGroups(): string[] {
  const groups = readFileSync('/etc/group', 'utf8').split('\n');
  return ['video', 'render'].filter((name) => groups.some((line) => line.startsWith(`${name}:`)));
}

function makeUser(user: string): void {
  try {
    execFileSync('id', ['-u', user], { stdio: 'ignore' });
    return;
  } catch {
    // There is none yet.
  }
  try {
    execFileSync('useradd', ['--system', '--user-group', '--no-create-home', '--home-dir', '/nonexistent', user], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  } catch (error) {
    throw new PosternError('deploy_failed', `the user ${user} cannot be made: ${(error as Error).message}`);
  }
}

/** What a worker that is started here by hand would use, with whole paths: the service is to be the same. */
function settingsOfNow(isRoot: boolean): string {
  const { modelsDir, identityDir } = loadConfig();
  const lines = new Map<SettingKey, string>([['POSTERN_MODELS_DIR', modelsDir]]);
  // Another user's key can neither be read nor renewed by the service: as root it gets an identity of its own.
  if (!isRoot) lines.set('POSTERN_IDENTITY_DIR', identityDir);
  for (const key of Object.keys(SETTINGS) as SettingKey[]) {
    const { use, kind }: Setting = SETTINGS[key];
    const value = chosen(key);
    if (
      value === null ||
      lines.has(key) ||
      key === 'POSTERN_IDENTITY_DIR' ||
      (use !== 'worker' && use !== 'all') ||
      kind.type === 'key'
    )
      continue;
    const isPath = kind.type === 'folder' || kind.type === 'file' || (kind.type === 'program' && value.includes('/'));
    // The jobs' spool of the service is its own: two processes must not share one.
    if (key !== 'POSTERN_DATA_DIR') lines.set(key, isPath ? resolve(value) : value);
  }
  return [...lines].map(([key, value]) => `${key}=${JSON.stringify(value)}\n`).join('');
}
