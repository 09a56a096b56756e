/**
 * Brings one version of a model from a place into the repository. Nothing is believed: the manifest has the name that was
 * asked for (and the signature, where a key was given), every file the size and the SHA-256 of the manifest, and
 * `postern.yaml` is the one of this version. Only then does the folder get its name.
 *
 * A file that was cut off is continued; one that turns out to be wrong is thrown away, or the next try would keep the mistake.
 */
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import type { KeyObject } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { forEachConcurrently } from '../concurrency.ts';
import { PosternError } from '../errors.ts';
import { MAX_MANIFEST_BYTES, parseManifest } from '../worker/manifest.ts';
import { checkRoom, openDraft, type Begun, type Draft } from './draft.ts';
import { sha256Of } from './local-files.ts';
import {
  filePath,
  manifestPath,
  MAX_STORED_MANIFEST_BYTES,
  readManifest,
  signaturePath,
  totalBytes,
  type ModelRef,
  type StoredFile,
  type StoredManifest,
} from './manifest.ts';
import { placeError, type ModelPlace } from './place.ts';
import { checkSignature, MAX_SIGNATURE_BYTES } from './signature.ts';
import { fetchFile } from './transfer.ts';
import { newestVersion } from './versions.ts';

export interface PullOptions {
  readonly place: ModelPlace;
  readonly model: ModelRef;
  /** The repository. */
  readonly modelsDir: string;
  /** The manifest must be signed by its holder; null: it need not be signed. */
  readonly publicKey: KeyObject | null;
  /** All files together. */
  readonly maxBytes: number;
  readonly clock: Clock;
  /** Once, when it is known how much there is, and how much of it is here. */
  readonly onBegin?: (totalBytes: number) => void;
  /** Bytes that are here now and were not counted before; negative when some were thrown away. */
  readonly onBytes?: (bytes: number) => void;
}

export interface PullSummary {
  readonly name: string;
  readonly version: string;
  readonly folder: string;
  readonly files: number;
  readonly bytes: number;
  /** What came over the network this time. */
  readonly fetched_bytes: number;
  /** It was there, whole and equal. */
  readonly already: boolean;
  readonly signed: boolean;
}

/** Files under way at once: hides the latency of small ones. */
const FILES_AT_ONCE = 4;

export async function pullModel(options: PullOptions): Promise<PullSummary> {
  const { place, model, modelsDir } = options;
  const { name } = model;
  const version = model.version ?? (await newestVersion(place, name));
  const { manifest, signed } = await fetchManifest(options, name, version);
  const bytes = totalBytes(manifest.files);
  if (bytes > options.maxBytes) {
    throw new PosternError(
      'model_invalid',
      `${name}@${version} has ${bytes} bytes, at most ${options.maxBytes} are pulled: see --max-gib`,
    );
  }
  const folder = join(modelsDir, name, version);
  const summary = { name, version, folder, files: manifest.files.length, bytes, signed };
  if (existsSync(folder)) {
    await checkPresent(folder, manifest, options);
    return { ...summary, fetched_bytes: 0, already: true };
  }
  const draft = await openDraft(modelsDir, name, version);
  try {
    const fetched_bytes = await fetchFiles(draft, manifest, options);
    await checkModel(draft.folder, manifest);
    await draft.publish(manifest.files);
    return { ...summary, fetched_bytes, already: false };
  } catch (error) {
    throw placeError(error, `${name}@${version} could not be pulled`, place.address);
  } finally {
    draft.release();
  }
}

async function fetchManifest({ place, publicKey }: PullOptions, name: string, version: string) {
  const what = `${name}@${version}`;
  const bytes = await place.readSmall(manifestPath(name, version), MAX_STORED_MANIFEST_BYTES);
  if (bytes === null) throw new PosternError('model_not_found', `there is no ${what} at ${place.address}`);
  if (publicKey !== null) {
    const signature = await place.readSmall(signaturePath(name, version), MAX_SIGNATURE_BYTES);
    checkSignature(bytes, signature, publicKey, what);
  }
  return { manifest: readManifest(bytes, name, version), signed: publicKey !== null };
}

/** A version never changes: one that is here with other files is somebody's work, and stays. */
async function checkPresent(
  folder: string,
  { name, version, files }: StoredManifest,
  options: PullOptions,
): Promise<void> {
  options.onBegin?.(totalBytes(files));
  for (const file of files) {
    const path = join(folder, file.path);
    const size = await stat(path).then(
      (info) => info.size,
      () => null,
    );
    if (size !== file.bytes || (await sha256Of(path, options.onBytes)) !== file.sha256) {
      throw new PosternError(
        'model_invalid',
        `${name}@${version} is in ${folder} already, with another ${file.path}: remove it, or give one of the two another version`,
      );
    }
  }
}

async function fetchFiles(draft: Draft, { name, files }: StoredManifest, options: PullOptions): Promise<number> {
  const { place, clock, onBegin, onBytes = () => undefined } = options;
  let fetched = 0;
  onBegin?.(totalBytes(files));
  // Looked at first, one after another, so that the disk is asked for what is really to come.
  const found: { readonly file: StoredFile; readonly begun: Begun }[] = [];
  for (const file of files) {
    const begun = await draft.begun(file);
    found.push({ file, begun });
    onBytes(begun.bytes);
  }
  const there = found.reduce((sum, { begun }) => sum + begun.bytes, 0);
  await checkRoom(draft.folder, totalBytes(files) - there);
  await forEachConcurrently(found, FILES_AT_ONCE, async ({ file, begun }) => {
    const came = await fetchFile({ draft, place, path: filePath(name, file.sha256), file, clock, onBytes }, begun);
    fetched += came;
  });
  return fetched;
}

async function checkModel(folder: string, { name, version }: StoredManifest): Promise<void> {
  const path = join(folder, 'postern.yaml');
  if ((await stat(path)).size > MAX_MANIFEST_BYTES)
    throw new PosternError('model_invalid', 'its postern.yaml is too large');
  const manifest = parseManifest(await readFile(path, 'utf8'));
  if (manifest.name !== name || manifest.version !== version) {
    throw new PosternError('model_invalid', `its postern.yaml is that of ${manifest.name}@${manifest.version}`);
  }
}
