/** Which releases are kept, and the removal of the others. */
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { logFile, releaseFolder, type Layout } from './layout.ts';
import { listReleaseIds } from './manifest.ts';
import type { State } from './state.ts';

/** Beside the one that serves and the one before it. */
const KEPT_HEALTHY = 5;
/** A release that never served is a deploy that goes on, or one that failed and is looked at: for a day. */
const KEPT_MS = 86_400_000;

export interface PruneOptions {
  readonly layout: Layout;
  readonly state: State;
  /** Releases of instances that live, and the one that the supervisor runs from. */
  readonly inUse: ReadonlySet<string>;
  readonly nowMs: number;
}

/** Removes what nobody needs, and gives the ids of it. */
export async function prune(options: PruneOptions): Promise<string[]> {
  const { layout, nowMs } = options;
  const removed: string[] = [];
  for (const id of await superfluous(options)) {
    // Out of the way first: half a release must not look like one.
    const aside = join(layout.incoming, `${id}.removed`);
    await mkdir(layout.incoming, { recursive: true, mode: 0o700 });
    await rm(aside, { recursive: true, force: true });
    await rename(releaseFolder(layout, id), aside);
    removed.push(id);
    for (const file of [logFile(layout, id), `${logFile(layout, id)}.1`]) await rm(file, { force: true });
  }
  await removeLeftovers(layout, nowMs);
  return removed;
}

async function superfluous({ layout, state, inUse, nowMs }: PruneOptions): Promise<string[]> {
  const kept = new Set([...inUse, state.current, state.previous]);
  const healthy = Object.entries(state.releases).filter(([, { health }]) => health === 'healthy');
  healthy.sort(([, a], [, b]) => b.since_ms - a.since_ms);
  for (const [id] of healthy.slice(0, KEPT_HEALTHY)) kept.add(id);
  const found: string[] = [];
  for (const id of await listReleaseIds(layout)) {
    if (kept.has(id)) continue;
    const isHealthy = state.releases[id]?.health === 'healthy';
    const changedMs = (await stat(releaseFolder(layout, id))).ctimeMs;
    if (isHealthy || nowMs - changedMs > KEPT_MS) found.push(id);
  }
  return found;
}

/** Uploads that nobody finished, and what was set aside above. */
async function removeLeftovers({ incoming }: Layout, nowMs: number): Promise<void> {
  const names = await readdir(incoming).catch(() => []);
  for (const name of names) {
    const path = join(incoming, name);
    const changedMs = await stat(path).then(
      ({ ctimeMs }) => ctimeMs,
      () => nowMs,
    );
    if (name.endsWith('.removed') || nowMs - changedMs > KEPT_MS) await rm(path, { recursive: true, force: true });
  }
}
