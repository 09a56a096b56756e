/** A machine with the folder that releases lie in: what is known of it, and how scripts run there as the folder's owner. */
import { PosternError } from '../../errors.ts';
import type { Platform } from '../archive/packages.ts';
import { probeScript } from './scripts.ts';
import { quoted } from './shell.ts';
import type { Ended, Held, Remote, RemoteOptions } from './machine.ts';

export interface Probe {
  /** Whoever logs in. */
  readonly user: string;
  /** The folder, with `~` resolved. */
  readonly folder: string;
  /** null: there is no folder yet. */
  readonly owner: string | null;
  readonly platform: Platform;
  readonly freeBytes: number;
  /** The release that the link names. */
  readonly current: string | null;
  readonly hasSystemd: boolean;
  readonly hasUnit: boolean;
}

export interface Site {
  readonly target: string;
  readonly dir: string;
  readonly probe: Probe;
  /** The user that releases belong to and run as. */
  readonly owner: string;
  /** Runs as the owner. */
  run(script: string, options?: RemoteOptions): Promise<Ended>;
  hold(script: string, onLine: (line: string) => void): Held;
  /** Runs as root: whoever logs in is it, or may `sudo` without a password. */
  runAsRoot(script: string, options?: RemoteOptions): Promise<Ended>;
}

export async function openSite(remote: Remote, dir: string): Promise<Site> {
  const probe = await probeMachine(remote, dir);
  const owner = probe.owner ?? probe.user;
  const asOwner = (script: string): string => (owner === probe.user ? script : asUser(probe.user, owner, script));
  return {
    target: remote.target,
    dir: probe.folder,
    probe,
    owner,
    run: (script, options) => remote.run(asOwner(script), options),
    hold: (script, onLine) => remote.hold(asOwner(script), onLine),
    runAsRoot: (script, options) =>
      remote.run(probe.user === 'root' ? script : `exec sudo -n sh -c ${quoted(script)}`, options),
  };
}

/** The folder of whoever logs in may be closed to the other user: it starts in `/`. */
const asUser = (from: string, to: string, script: string): string =>
  `cd /; exec ${from === 'root' ? 'runuser -u' : 'sudo -n -u'} ${quoted(to)} -- sh -c ${quoted(script)}`;

const CPUS: Readonly<Record<string, Platform['cpu']>> = { x86_64: 'x64', aarch64: 'arm64' };

export async function probeMachine(remote: Remote, dir: string): Promise<Probe> {
  const { code, out, err } = await remote.run(probeScript(dir));
  if (code !== 0)
    throw new PosternError('deploy_failed', `${remote.target} cannot be looked at: ${err || `exit code ${code}`}`);
  const all = pairs(out);
  const facts = new Map(all);
  const cpu = CPUS[facts.get('machine') ?? ''];
  if (facts.get('system') !== 'Linux' || cpu === undefined) {
    throw new PosternError(
      'config_invalid',
      `${remote.target} is ${facts.get('system')} on ${facts.get('machine')}: expected Linux on x86_64 or aarch64`,
    );
  }
  const missing = all.filter(([key]) => key === 'missing').map(([, program]) => program);
  if (missing.length > 0) {
    throw new PosternError('config_invalid', `${remote.target} lacks ${missing.join(', ')}: install them there first`);
  }
  return {
    user: facts.get('user') ?? '',
    folder: facts.get('folder') ?? dir,
    owner: facts.get('owner') ?? null,
    platform: { os: 'linux', cpu },
    freeBytes: Number(facts.get('free_kib') ?? 0) * 1024,
    current: facts.get('current') ?? null,
    hasSystemd: facts.has('systemd'),
    hasUnit: facts.has('unit'),
  };
}

/** The `key=value` lines among what a script printed. */
export const pairs = (out: string): [key: string, value: string][] =>
  out.split('\n').flatMap((line) => {
    const match = /^([a-z_]+)=(.*)$/.exec(line);
    return match === null ? [] : [[match[1] ?? '', match[2] ?? ''] as [string, string]];
  });
