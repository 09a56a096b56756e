/**
 * `postern deploy`, step by step. Until the switch nothing that serves is touched, and the switch itself is the supervisor's,
 * which keeps the old release when the new one is not good. So whatever fails, the old release serves, and what has been
 * sent is there for the next try. The lock is held for the part that changes something, not while bytes travel.
 */
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { Platform } from '../archive/packages.ts';
import type { BuiltRelease } from '../archive/release.ts';
import { backUp } from './backup.ts';
import { holdLock } from './lock.ts';
import { askProgram } from './program.ts';
import { provision, type ProvisionOptions } from './provision.ts';
import { firstLinkScript, prepareScript, pruneScript } from './scripts.ts';
import { openSite, pairs, type Site } from './site.ts';
import { openRemote, type SshOptions } from './ssh.ts';
import { createSteps, STEPS, type DeployEvent, type Step, type Steps } from './steps.ts';
import { ensureSupervisor, servingRelease } from './supervisor.ts';
import { checkRoom, mib, takeInventory, unpack, upload } from './upload.ts';
import { verifyFront } from './verify.ts';

export interface DeployOptions {
  readonly ssh: SshOptions;
  /** The folder of releases there. */
  readonly dir: string;
  readonly build: (platform: Platform, step: Step) => Promise<BuiltRelease>;
  /** Who deploys, for the lock and the audit log. */
  readonly owner: string;
  /** Lines for `.env` there, when there is none yet. */
  readonly settings: string | null;
  /** null: the machine is as it should be. */
  readonly provision: ProvisionOptions | null;
  readonly backup: boolean;
  /** Where callers reach the gateway from here; null: what the machine itself verified is enough. */
  readonly publicUrl: string | null;
  /** Says what would be done, and stops before anything changes. */
  readonly dryRun: boolean;
  readonly clock: Clock;
  readonly onEvent: (event: DeployEvent) => void;
}

export interface DeployResult {
  readonly target: string;
  readonly release: string;
  readonly version: string;
  readonly commit: string | null;
  readonly previous: string | null;
  readonly dry_run: boolean;
  readonly sent_bytes: number;
  readonly took_ms: number;
}

export async function deploy(options: DeployOptions): Promise<DeployResult> {
  const { clock, onEvent } = options;
  const beganAt = clock.monotonic();
  const steps = createSteps(onEvent, () => clock.monotonic());
  const remote = await openRemote(options.ssh);
  let site: Site | null = null;
  try {
    ({ site } = await steps.run('connect', async () => {
      const found = await openSite(remote, options.dir);
      return { site: found, text: describeSite(found) };
    }));
    const { built } = await steps.run('build', async (step) => {
      const release = await options.build(site!.probe.platform, step);
      return { built: release, text: describeRelease(release) };
    });
    if (options.provision !== null && !options.dryRun) {
      const wanted = options.provision;
      site = (
        await steps.run('provision', async (step) => {
          await provision(site!, wanted, step);
          return { site: await openSite(remote, options.dir), text: 'the machine is prepared' };
        })
      ).site;
    }
    const result = await install(site, built, options, steps);
    return { ...result, took_ms: Math.round(clock.monotonic() - beganAt) };
  } catch (error) {
    throw await withWhatServes(error, steps, site);
  } finally {
    await remote.close();
  }
}

async function install(
  site: Site,
  built: BuiltRelease,
  options: DeployOptions,
  steps: Steps,
): Promise<Omit<DeployResult, 'took_ms'>> {
  const { id, version, commit } = built.description;
  if (site.owner === 'root') {
    throw new PosternError(
      'config_invalid',
      `a gateway does not run as root: prepare ${site.target} once with --provision, or log in as another user with --dir ~/postern`,
    );
  }
  const { current } = site.probe;
  const result = { target: site.target, release: id, version, commit, previous: current, dry_run: options.dryRun };
  if (options.dryRun) return { ...result, sent_bytes: await rehearse(site, built, options, steps) };

  await steps.run('prepare', async () => {
    const { code, out, err } = await site.run(prepareScript(site.dir, site.owner), { input: options.settings ?? '' });
    if (code !== 0) throw new PosternError('deploy_failed', `${site.dir} cannot be made: ${err}`);
    return { text: pairs(out).length > 0 ? `settings made: ${site.dir}/work/.env` : `${site.dir}, as ${site.owner}` };
  });
  const inventory = await takeInventory(site, built);
  checkRoom(site, inventory);
  await steps.run('upload', (step) => upload(site, inventory, step));
  await steps.run('check', async () => {
    const unpacked = await unpack(site, built, inventory);
    // Its own Node, its own packages, that machine's libc: it must at least say who it is before it may serve.
    await askProgram(site, { release: id, args: ['--version'] });
    return unpacked;
  });

  const { lock } = await steps.run('lock', async () => {
    const held = await holdLock(site, id, options.owner, options.clock);
    return { lock: held, text: `for ${options.owner}` };
  });
  try {
    await steps.run('backup', () => backUp(site, built.description, options.backup));
    await steps.run('switch', async (step) => {
      await site.run(firstLinkScript(site.dir, id));
      await ensureSupervisor(site, id, step, options.clock);
      await askProgram(site, {
        release: id,
        args: ['switch', id, '--lock', options.owner, '--json'],
        onLine: ({ type, text }) => {
          if (type === 'progress' && typeof text === 'string') step.note(text);
        },
      });
      return {
        text: current === id ? `${id} serves again` : `${id} serves${current === null ? '' : `, ${current} drains`}`,
      };
    });
    await steps.run('verify', () => verifyFront(site, id, options.publicUrl, options.clock));
    await steps.run('prune', async () => {
      await askProgram(site, { release: id, args: ['releases', 'prune', '--json'] });
      const { out } = await site.run(pruneScript(site.dir));
      return { text: `${pairs(out).find(([key]) => key === 'removed')?.[1] ?? '0'} layers that no release needs` };
    });
  } finally {
    await lock.release();
  }
  return { ...result, sent_bytes: inventory.missing.reduce((sum, { layer, offset }) => sum + layer.bytes - offset, 0) };
}

/** What would be sent and done, without changing anything. */
async function rehearse(site: Site, built: BuiltRelease, options: DeployOptions, steps: Steps): Promise<number> {
  const { probe } = site;
  const inventory =
    probe.owner === null
      ? { hasRelease: false, missing: built.layers.map((layer) => ({ layer, offset: 0 })) }
      : await takeInventory(site, built);
  checkRoom(site, inventory);
  const bytes = inventory.missing.reduce((sum, { layer, offset }) => sum + layer.bytes - offset, 0);
  const would = [
    options.provision === null ? null : 'prepare the machine (user, folders, unit)',
    probe.owner === null ? `make ${site.dir}` : null,
    inventory.missing.length === 0
      ? 'send nothing: every layer is there'
      : `send ${inventory.missing.map(({ layer }) => layer.name).join(', ')} (${mib(bytes)})`,
    probe.current === built.description.id
      ? `switch to ${built.description.id} again, which serves already`
      : `switch ${probe.current === null ? '' : `from ${probe.current} `}to ${built.description.id}`,
  ].filter((line) => line !== null);
  await steps.run('upload', (step) => {
    for (const line of would) step.note(`would ${line}`);
    return Promise.resolve({ text: 'nothing was changed' });
  });
  return bytes;
}

/** The same error, with the step and with what serves now, so that nobody has to look whether the service is down. */
async function withWhatServes(error: unknown, steps: Steps, site: Site | null): Promise<unknown> {
  const step = steps.failedIn();
  if (!(error instanceof PosternError) || step === null || site === null) return error;
  const serves = await servingRelease(site).catch(() => null);
  const serving =
    serves === null
      ? site.probe.current === null
        ? 'No release was serving before, and none is now'
        : `What serves could not be asked; nothing that served was replaced before the step "${STEPS.switch}"`
      : `${serves} serves`;
  return new PosternError(error.code, `${STEPS[step]}: ${error.message}\n${serving}.`, { cause: error });
}

const describeSite = ({ target, dir, probe, owner }: Site): string =>
  `${target}: ${probe.platform.os}-${probe.platform.cpu}, ${dir} of ${owner}${probe.owner === null ? ' (to be made)' : ''}, ${probe.current === null ? 'no release yet' : `release ${probe.current}`}, ${mib(probe.freeBytes)} free`;

const describeRelease = ({ description, layers }: BuiltRelease): string =>
  `${description.id} (${description.version}${description.commit === null ? '' : `, ${description.commit}`}), ${mib(layers.reduce((sum, { bytes }) => sum + bytes, 0))} in ${layers.length} layers`;
