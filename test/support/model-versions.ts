/** Versions of a model that say who they are: in Python, and as ONNX networks that answer with their own number. */
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { colourModel } from './onnx.ts';

export interface VersionFolder {
  readonly path: string;
  /** Written beside its place and renamed, so that it appears whole. */
  write(name: string, version: string, files: Readonly<Record<string, string | Buffer>>): Promise<void>;
  /** A model in Python whose answers name its version. */
  python(name: string, version: string, more?: PythonVersion): Promise<void>;
  /** An image classifier whose only label is its version. */
  onnx(name: string, version: string, more?: Record<string, unknown>): Promise<void>;
  remove(): Promise<void>;
}

export interface PythonVersion {
  readonly manifest?: Record<string, unknown>;
  /** Lines in `setup`. */
  readonly setup?: string;
}

export async function makeVersionFolder(): Promise<VersionFolder> {
  const path = await mkdtemp(join(tmpdir(), 'postern-versions-'));

  const folder: VersionFolder = {
    path,
    async write(name, version, files) {
      const draft = join(path, `.${name}-${version}`);
      await mkdir(draft, { recursive: true });
      for (const [file, content] of Object.entries(files)) await writeFile(join(draft, file), content);
      await mkdir(join(path, name), { recursive: true });
      await rename(draft, join(path, name, version));
    },
    python(name, version, { manifest = {}, setup = 'pass' } = {}) {
      const keys = { postern: 1, name, version, kind: 'json', runner: 'python', warm_up: { input: {} }, ...manifest };
      const code = `class Model:
    def setup(self):
        ${setup}

    def predict(self, batch):
        return [{"version": "${version}"} for _ in batch]
`;
      return folder.write(name, version, { 'postern.yaml': stringify(keys), 'model.py': code });
    },
    onnx(name, version, more = {}) {
      const keys = {
        postern: 1,
        name,
        version,
        runner: 'onnx',
        kind: 'image-classification',
        file: 'model.onnx',
        input: { name: 'image', width: 32, height: 24 },
        output: { name: 'logits', labels: 'labels.json', top_k: 1 },
        batch: { max_rows: 8 },
        warm_up: { runs: 2 },
        ...more,
      };
      return folder.write(name, version, {
        'postern.yaml': stringify(keys),
        'labels.json': JSON.stringify({ labels: [`version ${version}`] }),
        'model.onnx': colourModel({ width: 32, height: 24, weights: [[1, 1, 1]] }),
      });
    },
    remove: () => rm(path, { recursive: true, force: true }),
  };
  return folder;
}
