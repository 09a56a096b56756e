/** Parts of `postern.yaml` that several kinds have. */
import { z } from 'zod';
import { modelName, modelVersion } from '../protocol/messages.ts';

/** Inside the version's folder: no absolute path, no step up. */
export const fileName = z
  .string()
  .max(200)
  .regex(/^[A-Za-z0-9_][A-Za-z0-9._-]*(\/[A-Za-z0-9_][A-Za-z0-9._-]*)*$/, 'must be a path inside the folder');

export const common = {
  postern: z.literal(1),
  name: modelName,
  version: modelVersion,
  description: z.string().max(500).optional(),
  license: z.string().max(200).optional(),
  concurrency: z.int().min(1).max(4_096).default(1),
  memory_mb: z.int().min(0).max(1_048_576).default(0),
};

export const batch = z
  .strictObject({
    max_rows: z.int().min(1).max(1_024).default(1),
    max_delay_ms: z.number().min(0).max(10_000).default(0),
  })
  .prefault({});

export const warmUpRuns = z.int().min(1).max(100).default(1);
export const threads = z.int().min(0).max(256).default(0);

const identifier = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, 'must be a name as Python has them');
/** A day: longer work belongs into several predictions. */
const seconds = (fallback: number) => z.number().min(0.1).max(86_400).default(fallback);

/** How a model in Python is run. Who can write this file can run programs on the worker anyway: it names one. */
export const python = z
  .strictObject({
    interpreter: z.string().min(1).max(1_000).optional(),
    entry: identifier.optional(),
    env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/), z.string().max(10_000)).default({}),
    setup_timeout_s: seconds(300),
    predict_timeout_s: seconds(300),
    memory_limit_mb: z.int().min(0).max(1_048_576).default(0),
  })
  .prefault({});

export type PythonManifest = Readonly<z.infer<typeof python>>;
