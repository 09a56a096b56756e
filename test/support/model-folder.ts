/** A model repository in a temporary folder, with a network whose answers can be worked out by hand. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { colourModel } from './onnx.ts';
import type { ColourModelOptions } from './onnx.ts';

/** Red, green and blue photos get their label; grey ones are rejected at a half. */
export const COLOURS: Omit<ColourModelOptions, 'width' | 'height'> = {
  weights: [
    [20, -10, -10],
    [-10, 20, -10],
    [-10, -10, 20],
    [1, 1, 1],
  ],
};
export const COLOUR_LABELS = ['red', 'green', 'blue', 'no_colour'];

export interface ModelFolder {
  readonly path: string;
  /** Writes one version; `manifest` overrides keys of a working one at the top level, `undefined` leaves one out. */
  write(name: string, version: string, parts?: Partial<ModelParts>): Promise<void>;
  remove(): Promise<void>;
}

export interface ModelParts {
  readonly manifest: Record<string, unknown>;
  readonly network: Partial<ColourModelOptions>;
  readonly labels: unknown;
  /** Instead of the network. */
  readonly file: Buffer;
}

export function colourManifest(name: string, version: string): Record<string, unknown> {
  return {
    postern: 1,
    name,
    version,
    runner: 'onnx',
    kind: 'image-classification',
    file: 'model.onnx',
    input: { name: 'image', width: 32, height: 24 },
    output: { name: 'logits', labels: 'labels.json', top_k: 3, reject: { label: 'no_colour', threshold: 0.5 } },
    batch: { max_rows: 4 },
    warm_up: { runs: 2 },
    threads: 1,
  };
}

export async function makeModelFolder(): Promise<ModelFolder> {
  const path = await mkdtemp(join(tmpdir(), 'postern-models-'));
  return {
    path,
    async write(name, version, parts = {}) {
      const folder = join(path, name, version);
      await mkdir(folder, { recursive: true });
      const manifest = { ...colourManifest(name, version), ...parts.manifest };
      await writeFile(join(folder, 'postern.yaml'), stringify(manifest));
      await writeFile(join(folder, 'labels.json'), JSON.stringify(parts.labels ?? { labels: COLOUR_LABELS }));
      const network = colourModel({ width: 32, height: 24, ...COLOURS, ...parts.network });
      await writeFile(join(folder, 'model.onnx'), parts.file ?? network);
    },
    remove: () => rm(path, { recursive: true, force: true }),
  };
}
