/**
 * Which installed packages a release needs: found by walking the lock file from the project's own dependencies, and not by
 * installing again, so that a release is what was tested, needs no network, and is the same wherever it is made.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PosternError } from '../../errors.ts';

export interface Platform {
  readonly os: 'linux';
  readonly cpu: 'x64' | 'arm64';
}

interface LockEntry {
  readonly version?: string;
  readonly link?: boolean;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

export interface Lock {
  readonly packages: Readonly<Record<string, LockEntry>>;
}

export interface WantedPackages {
  /** Packages of the project that the release goes without, with all that only they need. */
  readonly without: readonly string[];
  readonly platform: Platform;
}

/** Paths like `node_modules/pino`, sorted. What the platform has no use for, and what is optional and absent, is left out. */
export function productionPackages(lock: Lock, { without, platform }: WantedPackages): string[] {
  const found = new Set<string>();
  const project = lock.packages[''] ?? {};
  const visit = (from: string, name: string, required: boolean): void => {
    const place = locate(lock, from, name);
    if (place === null) {
      if (!required) return;
      throw new PosternError(
        'config_invalid',
        `package-lock.json has no ${name}, which ${from || 'the project'} needs`,
      );
    }
    const entry = lock.packages[place] ?? {};
    if (found.has(place) || entry.link === true || !suits(entry, platform)) return;
    found.add(place);
    for (const dependency of Object.keys(entry.dependencies ?? {})) visit(place, dependency, true);
    for (const dependency of Object.keys(entry.optionalDependencies ?? {})) visit(place, dependency, false);
    for (const dependency of Object.keys(entry.peerDependencies ?? {})) visit(place, dependency, false);
  };
  const own = (names: Readonly<Record<string, string>> | undefined): string[] =>
    Object.keys(names ?? {}).filter((name) => !without.includes(name));
  for (const name of own(project.dependencies)) visit('', name, true);
  for (const name of own(project.optionalDependencies)) visit('', name, false);
  return [...found].sort();
}

/** Where Node would find `name` from the package at `from`: the nearest node_modules on the way up. */
function locate(lock: Lock, from: string, name: string): string | null {
  for (let place = from; ;) {
    const candidate = place === '' ? `node_modules/${name}` : `${place}/node_modules/${name}`;
    if (lock.packages[candidate] !== undefined) return candidate;
    if (place === '') return null;
    const above = place.lastIndexOf('/node_modules/');
    place = above === -1 ? '' : place.slice(0, above);
  }
}

const suits = ({ os, cpu }: LockEntry, platform: Platform): boolean =>
  (os === undefined || os.includes(platform.os)) && (cpu === undefined || cpu.includes(platform.cpu));

/**
 * Of these packages the ones that are installed, each in the version that the lock file names. Throws config_invalid
 * when one is missing or another version, because the release would not be what the lock file says.
 */
export async function checkInstalled(root: string, lock: Lock, places: readonly string[]): Promise<string[]> {
  const installed: string[] = [];
  for (const place of places) {
    const { version, optional } = lock.packages[place] ?? {};
    const text = await readFile(join(root, place, 'package.json'), 'utf8').catch(() => null);
    if (text === null && optional === true) continue;
    const got = text === null ? 'nothing' : String((JSON.parse(text) as { version?: unknown }).version);
    if (got !== version) {
      throw new PosternError(
        'config_invalid',
        `${place}: expected version ${version} as in package-lock.json, found ${got}: run npm ci`,
      );
    }
    installed.push(place);
  }
  return installed;
}
