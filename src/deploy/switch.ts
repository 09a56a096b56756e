/** A switch, from the question whether the release fits to the moment in which the one before it lets go. */
import { statfs } from 'node:fs/promises';
import { PosternError, toPosternError } from '../errors.ts';
import type { Tell } from './control-server.ts';
import type { Fleet } from './fleet.ts';
import { readManifest, schemaConflict, type Manifest } from './manifest.ts';
import { prune } from './prune.ts';
import type { Serving } from './serving.ts';
import type { State } from './state.ts';
import { MIN_FREE_BYTES, type SupervisorOptions } from './supervisor-options.ts';

export function createSwitch(options: SupervisorOptions, serving: Serving, fleet: Fleet) {
  const { layout, clock, logger } = options;

  async function switchTo(release: string, mayBeWarm: boolean, tell: Tell): Promise<void> {
    tell('checking', `${release}: manifest, schema, disk`);
    const manifest = await readManifest(layout, release);
    await checkFits(manifest);
    const warm = serving.ready;
    if (mayBeWarm && warm?.release === release) {
      const before = serving.active;
      const next = warm;
      tell('starting', `${next.name} is warm`);
      await serving.bringForward(next, tell);
      if (before !== null && before !== next) serving.dismiss(before);
      return;
    }
    await serving.save({ switch: { from: serving.state.current, to: release, began_at_ms: clock.now() } });
    try {
      tell('starting', `a process of ${release}`);
      const next = await serving.launch(manifest);
      await serving.untilReady(next, tell);
      const before = serving.active;
      await serving.bringForward(next, tell);
      if (before === null) return;
      tell('draining', `${before.name} lets its callers, workers and jobs go over`);
      serving.dismiss(before);
    } catch (thrown) {
      const ended = { switch: null, ...failedUnlessProven(release, toPosternError(thrown).message) };
      // Where the disk is full this fails too, and must not hide why the switch did.
      await serving.save(ended).catch((error: unknown) => {
        logger.error('the end of a switch could not be recorded', { release, error });
      });
      throw thrown;
    }
  }

  /** One that served well before and does not start now may be right, and the machine wrong. */
  function failedUnlessProven(release: string, reason: string): Partial<State> {
    return serving.state.releases[release]?.health === 'healthy' ? {} : serving.judged(release, 'failed', reason);
  }

  async function checkFits(manifest: Manifest): Promise<void> {
    const { active } = serving;
    if (active !== null) {
      const { schema } = await readManifest(layout, active.release);
      const conflict = schemaConflict(schema, manifest.schema);
      if (conflict !== null)
        throw new PosternError('schema_too_new', `${manifest.id} cannot follow ${active.release}: ${conflict}.`);
    }
    const { bavail, bsize } = await statfs(layout.root);
    const minFree = options.minFreeBytes ?? MIN_FREE_BYTES;
    if (bavail * bsize >= minFree) return;
    const mib = (bytes: number): string => `${Math.floor(bytes / 1024 / 1024)} MiB`;
    throw new PosternError(
      'storage_full',
      `${layout.root} has ${mib(bavail * bsize)} free, and a switch wants ${mib(minFree)}.`,
    );
  }

  async function pruneNow(): Promise<string[]> {
    const inUse = new Set(fleet.all.map(({ release }) => release));
    if (options.ownRelease !== null) inUse.add(options.ownRelease);
    const removed = await prune({ layout, state: serving.state, inUse, nowMs: clock.now() });
    if (removed.length === 0) return removed;
    const releases = Object.fromEntries(Object.entries(serving.state.releases).filter(([id]) => !removed.includes(id)));
    await serving.save({ releases });
    logger.info('releases removed', { releases: removed });
    return removed;
  }

  return { switchTo, pruneNow };
}
