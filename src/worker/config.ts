/**
 * What a worker can be told. Parsed once into a frozen object; every problem is reported at once, by key; unknown keys are
 * refused. Where the values come from (environment, flags) is the business of `cli/`.
 */
import { availableParallelism, totalmem } from 'node:os';
import { z } from 'zod';
import { PosternError } from '../errors.ts';
import { DRAIN_MS } from '../protocol/limits.ts';
import { MAX_TARGETS } from './targets.ts';

const MIB = 1024 * 1024;

const target = z.strictObject({
  host: z.string().min(1).max(253).default('127.0.0.1'),
  port: z.int().min(1).max(65_535).default(37_373),
});

const schema = z.strictObject({
  /** The gateways to dial; they tell of others. */
  targets: z.array(target).min(1).max(MAX_TARGETS).prefault([{}]),
  /** The model repository: `<name>/<version>/postern.yaml`. */
  modelsDir: z.string().min(1),
  /** Where results wait for the gateway's ack, beside the memory: of this worker alone. null: nowhere. */
  spoolDir: z.string().min(1).nullable().default(null),
  /** Where it is kept which versions the gateway wants loaded. null: nowhere, and the newest are loaded at the start. */
  deployedFile: z.string().min(1).nullable().default(null),
  /** New versions in the repository: not looked for, told to the gateway, or told with the wish that it deploys them. */
  watchModels: z.enum(['off', 'list', 'deploy']).default('off'),
  /** How long a drain waits for what runs. */
  drainMs: z.int().min(0).default(DRAIN_MS),
  /** Photos with more are refused by their header. The decoder holds up to 4 bytes for each: 50 million are 200 MB. */
  maxImagePixels: z.int().min(1).max(1_000_000_000).default(50_000_000),
  /** Photos decoded at the same time, over all models. libuv has 4 threads; more than there are cores gains nothing. */
  maxDecodes: z
    .int()
    .min(1)
    .max(64)
    .default(() => Math.min(4, Math.max(2, availableParallelism()))),
  /** The Python of models that name none: a program, or the folder of an environment. */
  python: z.string().min(1).default('python3'),
  /** What the processes of models in Python see of the worker's environment. */
  pythonEnvironment: z.record(z.string(), z.string()).default({}),
  /** What the `memory_mb` of all loaded models may add up to. Default: the memory of the machine. */
  memoryMb: z
    .int()
    .min(1)
    .default(() => Math.floor(totalmem() / MIB)),
});

export type WorkerConfig = Readonly<z.infer<typeof schema>>;
export type WorkerConfigInput = z.input<typeof schema>;

/** Throws `config_invalid` naming every key that is wrong. */
export function parseWorkerConfig(input: WorkerConfigInput): WorkerConfig {
  const parsed = schema.safeParse(input);
  if (parsed.success) return Object.freeze(parsed.data);
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || '(root)'}: ${issue.message}`);
  throw new PosternError('config_invalid', `The worker's configuration has problems. ${problems.join('; ')}`);
}
