/**
 * Puts a release of the worker on its own machine and has systemd run it; the next time, replaces it. Always by its owner and
 * from a clone of theirs: a gateway never sends programs to a worker, because who takes over the public machine must not get
 * the private one with it.
 *
 * A worker has one identity, and so one process: the old one drains and ends before the new one starts. Jobs wait meanwhile.
 */
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { sleep, type Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { PUBLIC_MODE, writeStateFile } from '../../state-file.ts';
import type { BuiltRelease } from '../archive/release.ts';
import { prepareScript, pruneScript, pruneWorkerScript, pointScript } from '../remote/scripts.ts';
import type { Site } from '../remote/site.ts';
import type { Step, Steps } from '../remote/steps.ts';
import { checkRoom, takeInventory, unpack, upload } from '../remote/upload.ts';
import type { ServiceManager } from './manager.ts';
import { lacks, readReady } from './ready.ts';

export interface InstallOptions {
  readonly site: Site;
  readonly build: (step: Step) => Promise<BuiltRelease>;
  /** Lines for `.env`, when there is none yet. */
  readonly settings: string;
  /** The user that the worker runs as, and the working folder belongs to; null: whoever installs. */
  readonly user: string | null;
  readonly unit: { readonly file: string; readonly text: string };
  /** null: there is no systemd; everything but the start is done. */
  readonly manager: ServiceManager | null;
  readonly clock: Clock;
  readonly steps: Steps;
}

export interface InstallResult {
  readonly release: string;
  readonly previous: string | null;
  readonly started: boolean;
}

export async function installWorker(options: InstallOptions): Promise<InstallResult> {
  const { site, steps, manager } = options;
  const built = (await steps.run('build', async (step) => ({ built: await options.build(step), text: 'made' }))).built;
  const { id } = built.description;
  await steps.run('prepare', async () => {
    const { user, settings } = options;
    const own = user === null ? '' : `\nchown -R ${user}: "$D/work"\n`;
    const { code, err } = await site.run(prepareScript(site.dir, user ?? site.owner) + own, { input: settings });
    if (code !== 0) throw new PosternError('deploy_failed', `${site.dir} cannot be made: ${err}`);
    return { text: `${site.dir}; settings in ${site.dir}/work/.env` };
  });
  const inventory = await takeInventory(site, built);
  checkRoom(site, inventory);
  await steps.run('upload', (step) => upload(site, inventory, step));
  await steps.run('check', () => unpack(site, built, inventory));
  await steps.run('unit', async () => {
    await mkdir(dirname(options.unit.file), { recursive: true });
    await writeStateFile(options.unit.file, options.unit.text, PUBLIC_MODE);
    await manager?.install();
    return { text: options.unit.file };
  });
  const previous = site.probe.current;
  await steps.run('switch', (step) => replace(options, id, step));
  await steps.run('prune', async () => {
    await site.run(pruneWorkerScript(site.dir));
    await site.run(pruneScript(site.dir));
    return { text: 'three releases are kept' };
  });
  return { release: id, previous, started: manager !== null };
}

const BETWEEN_MS = 500;
/** A large model takes its time to load; a program that is broken shows so by ending. */
const MAX_WAIT_MS = 600_000;

async function replace(
  { site, manager, clock }: InstallOptions,
  id: string,
  step: Step,
): Promise<{ readonly text: string }> {
  const { current: previous } = site.probe;
  await point(site, id);
  if (manager === null) return { text: `${id} is current; nothing was started` };
  const file = join(site.dir, 'work', 'ready.json');
  const before = (await manager.isActive()) ? await readReady(file) : null;
  if (before !== null) step.note('the worker that runs ends what it has begun');
  await manager.restart();
  const reason = await untilGood(manager, clock, async () =>
    lacks(before, await readReady(file), join(site.dir, 'releases', id)),
  );
  if (reason === null) return { text: `${id} runs` };
  if (previous === null || previous === id) {
    throw new PosternError('deploy_failed', `the worker was started and is not well: ${reason}`);
  }
  step.note(`${reason}: back to ${previous}`);
  await point(site, previous);
  await manager.restart();
  throw new PosternError('deploy_failed', `${reason}. ${previous} runs again`);
}

/** null: it is well. Ends early when the process keeps ending. */
async function untilGood(
  manager: ServiceManager,
  clock: Clock,
  lacking: () => Promise<string | null>,
): Promise<string | null> {
  const until = clock.monotonic() + MAX_WAIT_MS;
  let ended = 0;
  for (;;) {
    const reason = await lacking();
    if (reason === null) return null;
    ended = (await manager.isActive()) ? ended : ended + 1;
    if (ended >= MAX_ENDED) return 'the new release keeps ending';
    if (clock.monotonic() > until) return reason;
    await sleep(clock, BETWEEN_MS);
  }
}

/** Looks that found it between two starts. */
const MAX_ENDED = 6;

async function point(site: Site, id: string): Promise<void> {
  const { code, err } = await site.run(pointScript(site.dir, id));
  if (code !== 0) throw new PosternError('deploy_failed', `${site.dir}/current cannot be changed: ${err}`);
}
