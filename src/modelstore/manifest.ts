/**
 * What a stored version of a model is made of: `manifest.json`, every file with its size and SHA-256. The files themselves
 * lie under the name of their content, so that equal weights of two versions are there once, what was sent before is not
 * sent again, and nothing of a published version ever changes. The manifest comes last: it is what publishes.
 *
 * A place (`place.ts`) holds `<name>/files/<sha256>`, `<name>/<version>/manifest.json` and perhaps `manifest.sig` beside it.
 */
import { z } from 'zod';
import { PosternError } from '../errors.ts';
import { modelName, modelVersion } from '../protocol/messages.ts';
import { fileName } from '../worker/manifest-keys.ts';

/** 10,000 files with long paths. */
export const MAX_STORED_MANIFEST_BYTES = 4 * 1024 * 1024;
const MAX_FILES = 10_000;
/** Above every model that there is, and small enough that sums stay exact. */
const MAX_FILE_BYTES = 4 * 1024 ** 4;

const file = z.strictObject({
  path: fileName,
  bytes: z.int().min(0).max(MAX_FILE_BYTES),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits'),
});

const schema = z.strictObject({
  postern_model: z.literal(1),
  name: modelName,
  version: modelVersion,
  files: z.array(file).min(1).max(MAX_FILES),
});

export type StoredManifest = Readonly<z.infer<typeof schema>>;
export type StoredFile = StoredManifest['files'][number];

/** `version` null: the newest. */
export interface ModelRef {
  readonly name: string;
  readonly version: string | null;
}

/** `plants@2` or `plants`; null: it is not of that form. */
export function parseModelRef(text: string): ModelRef | null {
  const [name = '', version = null, ...rest] = text.split('@');
  if (rest.length > 0 || !modelName.safeParse(name).success) return null;
  if (version !== null && !modelVersion.safeParse(version).success) return null;
  return { name, version };
}

export const manifestPath = (name: string, version: string): string => `${name}/${version}/manifest.json`;
export const signaturePath = (name: string, version: string): string => `${name}/${version}/manifest.sig`;
export const filePath = (name: string, sha256: string): string => `${name}/files/${sha256}`;

/** The same files give the same bytes, whoever writes them. */
export function writeManifest(manifest: StoredManifest): Buffer {
  const { name, version } = manifest;
  const files = [...manifest.files].sort((a, b) => (a.path < b.path ? -1 : 1));
  const lines = files.map(({ path, bytes, sha256 }) => `    ${JSON.stringify({ path, bytes, sha256 })}`);
  const head = `{\n  "postern_model": 1,\n  "name": ${JSON.stringify(name)},\n  "version": ${JSON.stringify(version)},\n`;
  return Buffer.from(`${head}  "files": [\n${lines.join(',\n')}\n  ]\n}\n`);
}

/** Throws model_invalid unless it is the manifest of this very version and all its paths stay inside its folder. */
export function readManifest(bytes: Buffer, name: string, version: string): StoredManifest {
  const where = `the manifest of ${name}@${version}`;
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new PosternError('model_invalid', `${where} is not JSON: push the model again`, { cause });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const problems = parsed.error.issues.slice(0, 5).map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new PosternError('model_invalid', `${where} cannot be used: ${problems.join('; ')}`);
  }
  const manifest = parsed.data;
  if (manifest.name !== name || manifest.version !== version) {
    throw new PosternError('model_invalid', `${where} is that of ${manifest.name}@${manifest.version}`);
  }
  checkPaths(manifest.files, where);
  return manifest;
}

/** Names count as equal where a file system would take them so, and none may be a folder of another. */
export function checkPaths(files: readonly Pick<StoredFile, 'path'>[], where: string): void {
  const seen = new Map<string, string>();
  for (const { path } of files) {
    const folded = path.toLowerCase();
    const before = seen.get(folded);
    if (before !== undefined) {
      throw new PosternError(
        'model_invalid',
        `${where} has ${before} and ${path}: their names must differ in more than case`,
      );
    }
    seen.set(folded, path);
  }
  for (const path of seen.keys()) {
    for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) {
      const parent = seen.get(path.slice(0, at));
      if (parent !== undefined) {
        throw new PosternError('model_invalid', `${where} has ${parent} as a file and as a folder`);
      }
    }
  }
  if (!seen.has('postern.yaml')) throw new PosternError('model_invalid', `${where} has no postern.yaml`);
}

export const totalBytes = (files: readonly StoredFile[]): number => files.reduce((sum, { bytes }) => sum + bytes, 0);
