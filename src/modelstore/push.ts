/**
 * Sends one version of the repository to a place: the files first, each under its content, the signature, and the manifest
 * last. Whoever pulls sees the version whole or not at all, and what a killed push has sent is not sent again.
 */
import type { KeyObject } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PosternError } from '../errors.ts';
import { MAX_MANIFEST_BYTES, parseManifest } from '../worker/manifest.ts';
import { describeFile, findFiles } from './local-files.ts';
import {
  checkPaths,
  filePath,
  manifestPath,
  MAX_STORED_MANIFEST_BYTES,
  signaturePath,
  totalBytes,
  writeManifest,
  type StoredFile,
} from './manifest.ts';
import type { ModelPlace, WritablePlace } from './place.ts';
import { MAX_SIGNATURE_BYTES, signManifest } from './signature.ts';

export interface PushOptions {
  readonly place: ModelPlace;
  readonly modelsDir: string;
  readonly name: string;
  readonly version: string;
  /** null: unsigned. */
  readonly privateKey: KeyObject | null;
  readonly onBegin?: (doing: 'read' | 'sent', totalBytes: number) => void;
  readonly onBytes?: (bytes: number) => void;
}

export interface PushSummary {
  readonly name: string;
  readonly version: string;
  readonly files: number;
  readonly bytes: number;
  /** What was sent this time; the rest was there. */
  readonly sent_bytes: number;
  readonly already: boolean;
  readonly signed: boolean;
}

export async function pushModel(options: PushOptions): Promise<PushSummary> {
  const { place, modelsDir, name, version, privateKey } = options;
  const { write } = place;
  if (write === null) {
    throw new PosternError(
      'config_invalid',
      `${place.address} can only be read: push to s3:// or to a folder that it serves`,
    );
  }
  const folder = join(modelsDir, name, version);
  const files = await describe(folder, options);
  const manifest = writeManifest({ postern_model: 1, name, version, files });
  const summary = { name, version, files: files.length, bytes: totalBytes(files), signed: privateKey !== null };
  const published = await place.readSmall(manifestPath(name, version), MAX_STORED_MANIFEST_BYTES);
  if (published !== null) checkEqual(published, manifest, options);
  const sent_bytes = published === null ? await sendFiles(write, folder, files, options) : 0;
  if (privateKey !== null) await publishSignature(options, write, signManifest(manifest, privateKey));
  if (published === null && !(await write.create(manifestPath(name, version), manifest))) {
    // Somebody pushed the same version at the same time.
    checkEqual(await place.readSmall(manifestPath(name, version), MAX_STORED_MANIFEST_BYTES), manifest, options);
  }
  return { ...summary, sent_bytes, already: published !== null };
}

async function describe(folder: string, { name, version, onBegin, onBytes }: PushOptions): Promise<StoredFile[]> {
  const path = join(folder, 'postern.yaml');
  const size = await stat(path).then(
    (info) => info.size,
    () => null,
  );
  if (size === null)
    throw new PosternError('model_not_found', `there is no ${name}@${version} in the repository: no ${path}`);
  if (size > MAX_MANIFEST_BYTES) throw new PosternError('model_invalid', `${path} is too large`);
  const manifest = parseManifest(await readFile(path, 'utf8'));
  if (manifest.name !== name || manifest.version !== version) {
    throw new PosternError(
      'model_invalid',
      `${path} is that of ${manifest.name}@${manifest.version}: make name, version and folder equal`,
    );
  }
  const found = await findFiles(folder);
  checkPaths(found, folder);
  onBegin?.(
    'read',
    found.reduce((sum, { bytes }) => sum + bytes, 0),
  );
  const files: StoredFile[] = [];
  for (const file of found) files.push(await describeFile(folder, file, onBytes));
  return files;
}

async function sendFiles(
  write: WritablePlace,
  folder: string,
  files: readonly StoredFile[],
  { name, onBegin, onBytes }: PushOptions,
): Promise<number> {
  let sent = 0;
  onBegin?.('sent', totalBytes(files));
  // One after another: a large one has several parts under way by itself.
  for (const { path, bytes, sha256 } of files) {
    const to = filePath(name, sha256);
    if ((await write.sizeOf(to)) === bytes) {
      onBytes?.(bytes);
      continue;
    }
    const sentNow = await write.sendFile(to, { path: join(folder, path), bytes, sha256 }, (part) => onBytes?.(part));
    sent += sentNow;
  }
  return sent;
}

async function publishSignature({ place, name, version }: PushOptions, write: WritablePlace, signature: Buffer) {
  const path = signaturePath(name, version);
  if (await write.create(path, signature)) return;
  // Ed25519 signs the same bytes to the same signature: one that is there is equal, or another key's.
  if ((await place.readSmall(path, MAX_SIGNATURE_BYTES))?.equals(signature) === true) return;
  throw new PosternError(
    'model_invalid',
    `${name}@${version} is signed already, with another key: push it without --sign-key, or as a new version`,
  );
}

function checkEqual(published: Buffer | null, manifest: Buffer, { place, name, version }: PushOptions): void {
  if (published?.equals(manifest) === true) return;
  throw new PosternError(
    'model_invalid',
    `${name}@${version} is at ${place.address} already, with other files: what is published does not change; give it another version`,
  );
}
