/**
 * A release as it is made here: its layers packed into the cache, and the description that lies in its folder as
 * `release.json`. The id is a hash over what the layers hold: the same content is the same release, whoever made it.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Clock } from '../../clock.ts';
import { readLock, releaseLayers, runtimeVersion, type LayerName, type ReleaseSources } from './layers.ts';
import { packLayer, pruneCache, type CachedLayer, type PackedLayer } from './pack.ts';

/**
 * `release.json`, as docs/architecture/releases.md has it. Fields of the program itself (`hand_over`, `schema`) come from the
 * program: `postern releases describe`.
 */
export interface ReleaseDescription {
  readonly format: 1;
  readonly id: string;
  readonly kind: ReleaseSources['kind'];
  readonly version: string;
  /** Of the clone; `-dirty` behind it when files differ from it; null without git. */
  readonly commit: string | null;
  /** When the commit was made; without git, when the archive was. */
  readonly made_at: string;
  readonly node: string;
  /** `linux-x64`. */
  readonly platform: string;
  readonly command: readonly string[];
  readonly layers: readonly PackedLayer[];
  readonly [field: string]: unknown;
}

export interface BuiltRelease {
  readonly description: ReleaseDescription;
  readonly layers: readonly CachedLayer[];
}

export interface BuildOptions extends ReleaseSources {
  /** Where packed layers are kept for the next time. */
  readonly cache: string;
  readonly clock: Clock;
  /** What the program says of itself for `release.json`. */
  readonly describe: () => Promise<Readonly<Record<string, unknown>>>;
  readonly onLayer?: (name: LayerName, packed: PackedLayer) => void;
}

export async function buildRelease(options: BuildOptions): Promise<BuiltRelease> {
  const { root, kind, platform, cache, clock } = options;
  const lock = await readLock(root);
  const layers: CachedLayer[] = [];
  for (const layer of await releaseLayers(options)) {
    const packed = await packLayer(layer, cache, clock);
    layers.push(packed);
    options.onLayer?.(layer.name, packed);
  }
  await pruneCache(cache);
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  const platformName = `${platform.os}-${platform.cpu}`;
  const { commit, madeAt } = await commitOf(root);
  const description: ReleaseDescription = {
    ...(await options.describe()),
    format: 1,
    id: digestOf([kind, platformName, ...layers.map(({ content }) => content)]).slice(0, ID_DIGITS),
    kind,
    version,
    commit,
    made_at: madeAt ?? new Date(clock.now()).toISOString(),
    node: runtimeVersion(lock, platform),
    platform: platformName,
    command: ['runtime/bin/node', 'bin/postern.mjs'],
    layers: layers.map(({ file: _, ...packed }) => packed),
  };
  return { description, layers };
}

/** 64 bits: two releases of one machine never meet, and a person can still compare them by eye. */
const ID_DIGITS = 16;

const digestOf = (parts: readonly string[]): string => createHash('sha256').update(parts.join('\n')).digest('hex');

async function commitOf(root: string): Promise<{ readonly commit: string | null; readonly madeAt: string | null }> {
  const git = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)('git', ['-C', root, ...args], { timeout: 30_000 })).stdout.trim();
  try {
    const [commit = '', seconds] = (await git('log', '-1', '--format=%h %ct', '--abbrev=12')).split(' ');
    const dirty = (await git('status', '--porcelain', '--untracked-files=no')) !== '';
    return { commit: dirty ? `${commit}-dirty` : commit, madeAt: new Date(Number(seconds) * 1000).toISOString() };
  } catch {
    return { commit: null, madeAt: null };
  }
}
