/**
 * The model repository: `<folder>/<name>/<version>/postern.yaml`. It only reads; what is loaded is the executor's affair.
 * A broken model is an entry with an error, so that it neither hides nor stops the others.
 */
import { open, readdir } from 'node:fs/promises';
import type { Dirent } from 'node:fs';
import { join } from 'node:path';
import { PosternError, toPosternError } from '../errors.ts';
import { modelName, modelVersion } from '../protocol/messages.ts';
import { compareVersions } from '../protocol/version-order.ts';
import { MAX_MANIFEST_BYTES, parseManifest } from './manifest.ts';
import type { Manifest } from './manifest.ts';

export type RepositoryEntry =
  | {
      readonly type: 'model';
      readonly name: string;
      readonly version: string;
      readonly folder: string;
      readonly manifest: Manifest;
    }
  | { readonly type: 'broken'; readonly name: string; readonly version: string; readonly error: PosternError };

/** The gateway takes at most 256 models from one worker (`models` message), so more folders are refused, not cut off. */
const MAX_ENTRIES = 256;

/**
 * Reads every version of every model; per name the highest version first. Folders whose names cannot be a model's or a
 * version's (`train`, `.git` …) and folders without a `postern.yaml` are no models and are passed over.
 */
export async function readRepository(folder: string): Promise<RepositoryEntry[]> {
  const entries: RepositoryEntry[] = [];
  for (const name of await folders(folder, true)) {
    if (!modelName.safeParse(name).success) continue;
    const versions = (await folders(join(folder, name), false)).filter(
      (version) => modelVersion.safeParse(version).success,
    );
    for (const version of versions.sort(compareVersions).reverse()) {
      const entry = await readEntry(join(folder, name, version), name, version);
      if (entry) entries.push(entry);
    }
  }
  if (entries.length > MAX_ENTRIES) {
    throw new PosternError(
      'config_invalid',
      `the model repository has ${entries.length} versions, at most ${MAX_ENTRIES} are served`,
    );
  }
  return entries;
}

async function readEntry(folder: string, name: string, version: string): Promise<RepositoryEntry | null> {
  try {
    const text = await readSmallFile(join(folder, 'postern.yaml'), MAX_MANIFEST_BYTES);
    if (text === null) return null;
    const manifest = parseManifest(text);
    if (manifest.name !== name || manifest.version !== version) {
      throw new PosternError(
        'model_invalid',
        `postern.yaml: name and version are ${manifest.name} ${manifest.version}, but the folder is ${name}/${version}: make them equal`,
      );
    }
    return { type: 'model', name, version, folder, manifest };
  } catch (thrown) {
    return { type: 'broken', name, version, error: toPosternError(thrown, 'model_invalid') };
  }
}

/** null: there is no such file. Never reads more than the limit, whatever the file's size. */
export async function readSmallFile(path: string, maxBytes: number): Promise<string | null> {
  let file;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    const { size } = await file.stat();
    if (size > maxBytes)
      throw new PosternError(
        'model_invalid',
        `a file of ${size} bytes, at most ${maxBytes} are read: ${fileLabel(path)}`,
      );
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

function fileLabel(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

async function folders(path: string, mustExist: boolean): Promise<string[]> {
  let entries: Dirent[];
  try {
    entries = await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (!mustExist) return [];
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    throw new PosternError(
      'config_invalid',
      `the model repository ${path} cannot be read (${code}): create it or set another folder`,
      { cause: error },
    );
  }
  return entries
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    .map((entry) => entry.name)
    .sort();
}
