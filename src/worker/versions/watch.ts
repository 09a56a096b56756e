/**
 * Looks at the model repository every {@link LOOK_MS}, because no file system tells reliably of what happens in it (network
 * shares never do). A version is taken as complete when two looks in a row found the same files in it: whoever copies for longer
 * than that between two files writes under a name that begins with a dot, and renames. What is loaded is not looked into.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import { modelName, modelVersion } from '../../protocol/messages.ts';
import { createService } from '../../service.ts';
import type { Service } from '../../service.ts';
import { readRepository } from '../repository.ts';
import type { RepositoryEntry } from '../repository.ts';

const LOOK_MS = 2_000;
/** Folders, and files in the folder of a version, that are looked at; more are not worth the disk's time. */
const MAX_NAMES = 1_024;

export interface RepositoryWatchOptions {
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly isLoaded: (name: string, version: string) => boolean;
  /** The repository anew, with the folders (`name@version`) that are new or others than before. */
  readonly onChange: (entries: readonly RepositoryEntry[], changed: ReadonlySet<string>) => void;
}

/** Start takes what is there as known. */
export function createRepositoryWatch(options: RepositoryWatchOptions): Service {
  const { folder, clock, logger } = options;
  let known: ReadonlyMap<string, string> = new Map();
  let before: ReadonlyMap<string, string> = new Map();
  let timer: { cancel(): void } | undefined;
  let looking: Promise<void> = Promise.resolve();
  let isStopped = false;
  let complaint = '';

  async function look(): Promise<void> {
    const now = await prints(folder, options.isLoaded, known);
    const stable = [...now].filter(([key, print]) => before.get(key) === print);
    const changed = new Set(stable.filter(([key, print]) => known.get(key) !== print).map(([key]) => key));
    const gone = [...known.keys()].filter((key) => !now.has(key));
    before = now;
    if (changed.size + gone.length === 0) return;
    const entries = await readRepository(folder);
    if (isStopped) return;
    const next = new Map(known);
    for (const key of gone) next.delete(key);
    for (const [key, print] of stable) next.set(key, print);
    known = next;
    logger.info('the model repository changed', { changed: [...changed].slice(0, 20), gone: gone.slice(0, 20) });
    // What is not complete yet is left out, as if it were not there.
    options.onChange(
      entries.filter(({ name, version }) => next.has(`${name}@${version}`)),
      changed,
    );
  }

  function again(): void {
    if (isStopped) return;
    timer = clock.after(LOOK_MS, () => {
      looking = look()
        .then(
          () => (complaint = ''),
          (error: unknown) => {
            const reason = (error as Error).message;
            if (reason !== complaint) logger.warn('the model repository cannot be looked at', { reason });
            complaint = reason;
          },
        )
        .then(again);
    });
  }

  return createService({
    async start() {
      known = await prints(folder, () => false, new Map());
      before = known;
      again();
    },
    async stop() {
      isStopped = true;
      timer?.cancel();
      await looking;
    },
  });
}

/** What every version's folder looks like: names, sizes and times of its files. */
async function prints(
  folder: string,
  isLoaded: (name: string, version: string) => boolean,
  known: ReadonlyMap<string, string>,
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const name of await names(folder)) {
    if (!modelName.safeParse(name).success) continue;
    for (const version of await names(join(folder, name))) {
      if (!modelVersion.safeParse(version).success) continue;
      const key = `${name}@${version}`;
      const old = isLoaded(name, version) ? known.get(key) : undefined;
      const print = old ?? (await printOf(join(folder, name, version)));
      if (print !== null) found.set(key, print);
    }
  }
  return found;
}

/** null: no `postern.yaml`, so it is no version. */
async function printOf(folder: string): Promise<string | null> {
  const files = await names(folder);
  if (!files.includes('postern.yaml')) return null;
  const parts: string[] = [];
  for (const file of files) {
    try {
      const { size, mtimeMs, ctimeMs } = await stat(join(folder, file));
      parts.push(`${file} ${size} ${mtimeMs} ${ctimeMs}`);
    } catch {
      parts.push(`${file} gone`);
    }
  }
  return parts.join('\n');
}

async function names(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort().slice(0, MAX_NAMES);
  } catch (error) {
    // A file, or a folder that went away between two looks.
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTDIR' || code === 'ENOENT') return [];
    throw error;
  }
}
