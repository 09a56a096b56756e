/**
 * `postern.yaml`: what one version of a model is and how it is served. Parsed once, purely, into a frozen object; every
 * problem is reported at once by key, and unknown keys are refused, because a misspelt limit is worse than none.
 * The author's view of every key is `docs/models.md`.
 */
import { parse } from 'yaml';
import { z } from 'zod';
import { PosternError } from '../errors.ts';
import { tensorSpecs } from '../protocol/messages.ts';
import { batch, common, fileName, python, threads, warmUpRuns } from './manifest-keys.ts';
import { openai, service } from './kinds/service/manifest.ts';
import type { ServiceManifest } from './kinds/service/manifest.ts';
import { VALUE_KINDS } from './kinds/values/manifest.ts';
import type { ValueManifest } from './kinds/values/manifest.ts';

/** A manifest is some thirty lines; a file beyond this is something else. */
export const MAX_MANIFEST_BYTES = 65_536;
/** Side of a network's input. 4,096² × 3 floats are 200 MB a row: beyond that it is no image classification. */
const MAX_SIDE_PX = 4_096;
/** More than any list for people; a verdict over groups of labels sums all of them. 1,000 labels are some 50 KB of answer. */
export const MAX_TOP_K = 1_000;

const channel = z.number().min(-10).max(10);
const deviation = z.number().min(1e-6).max(10);
const tensorName = z.string().min(1).max(200);

const warmUp = z.strictObject({ runs: warmUpRuns }).prefault({});
const providers = z
  .array(z.enum(['cpu', 'cuda', 'tensorrt', 'webgpu', 'dml', 'coreml']))
  .min(1)
  .max(6);

const echo = z.strictObject({ ...common, kind: z.literal('echo'), runner: z.literal('echo') });

const imageClassification = z.strictObject({
  ...common,
  kind: z.literal('image-classification'),
  runner: z.enum(['onnx', 'python']),
  file: fileName,
  python,
  input: z.strictObject({
    name: tensorName,
    width: z.int().min(1).max(MAX_SIDE_PX),
    height: z.int().min(1).max(MAX_SIDE_PX),
    fit: z.enum(['cover', 'contain', 'fill']).default('cover'),
    scale: z.number().min(1).max(4).default(1),
    kernel: z.enum(['nearest', 'linear', 'cubic', 'lanczos3']).default('cubic'),
    mean: z.tuple([channel, channel, channel]).default([0, 0, 0]),
    std: z.tuple([deviation, deviation, deviation]).default([1, 1, 1]),
  }),
  output: z.strictObject({
    name: tensorName,
    labels: fileName,
    temperature: z.number().min(0.01).max(100).default(1),
    top_k: z.int().min(1).max(MAX_TOP_K).default(5),
    reject: z.strictObject({ label: z.string().min(1).max(200), threshold: z.number().min(0).max(1) }).optional(),
    unsure_below: z.number().min(0).max(1).optional(),
  }),
  batch,
  warm_up: warmUp,
  threads,
  providers: providers.default(['cpu']),
});

const tensors = z
  .strictObject({
    ...common,
    kind: z.literal('tensors'),
    runner: z.enum(['onnx', 'python']),
    file: fileName,
    python,
    inputs: tensorSpecs.min(1).optional(),
    outputs: tensorSpecs.min(1).optional(),
    batch,
    warm_up: z.strictObject({ runs: warmUpRuns, input: fileName.optional() }).prefault({}),
    threads,
    providers: providers.default(['cpu']),
  })
  .refine(({ runner, inputs, outputs }) => runner === 'onnx' || (inputs !== undefined && outputs !== undefined), {
    path: ['inputs'],
    message: 'a model in Python has the inputs and outputs that are declared here: give both',
  });

const schemas = { echo, 'image-classification': imageClassification, tensors, ...VALUE_KINDS, service, openai };
export type KindName = keyof typeof schemas;
export const KIND_NAMES = Object.keys(schemas) as KindName[];

export type EchoManifest = Readonly<z.infer<typeof echo>>;
export type ImageClassificationManifest = Readonly<z.infer<typeof imageClassification>>;
export type TensorsManifest = Readonly<z.infer<typeof tensors>>;
export type Manifest = EchoManifest | ImageClassificationManifest | TensorsManifest | ValueManifest | ServiceManifest;

/** Throws model_invalid with one line per problem. */
export function parseManifest(text: string): Manifest {
  const value = parseYaml(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new PosternError('model_invalid', 'postern.yaml: expected a map of keys, see docs/models.md');
  }
  const kind = (value as { kind?: unknown }).kind;
  const known = typeof kind === 'string' && Object.hasOwn(schemas, kind);
  // With an unknown kind the commonest schema still tells the other problems, so that one look at the message is enough.
  const outcome = schemas[known ? (kind as KindName) : 'image-classification'].safeParse(value);
  if (outcome.success) return deepFreeze(outcome.data);
  const problems = outcome.error.issues.flatMap((issue) => describeIssue(issue, known));
  throw new PosternError('model_invalid', `postern.yaml: ${problems.join('; ')}`);
}

function parseYaml(text: string): unknown {
  try {
    // Aliases are counted, because a few lines of them can stand for billions of values.
    return parse(text, { version: '1.2', uniqueKeys: true, maxAliasCount: 10, logLevel: 'error' });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : 'unreadable';
    throw new PosternError('model_invalid', `postern.yaml is not valid YAML: ${reason}`, { cause });
  }
}

function describeIssue(issue: z.core.$ZodIssue, kindKnown: boolean): string[] {
  const key = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((name) => `${key ? `${key}.` : ''}${name}: unknown key`);
  }
  if (key === 'kind' && !kindKnown) return [`kind: expected one of ${KIND_NAMES.join(', ')}`];
  return [`${key}: ${issue.message}`];
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) {
    if (typeof part === 'object' && part !== null) deepFreeze(part);
  }
  return Object.freeze(value);
}

/** Every key that any kind takes, dotted: what `docs/models.md` must list. */
export function manifestKeys(): string[] {
  const keys = new Set<string>();
  for (const schema of Object.values(schemas)) collectKeys(schema, '', keys);
  return [...keys].sort();
}

function collectKeys(schema: z.ZodType, prefix: string, keys: Set<string>): void {
  let inner: unknown = schema;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) {
    inner = inner.unwrap();
  }
  if (!isMap(inner)) return;
  for (const [name, part] of Object.entries(inner.shape)) {
    keys.add(prefix + name);
    collectKeys(part, `${prefix}${name}.`, keys);
  }
}

function isMap(schema: unknown): schema is z.ZodObject<Readonly<Record<string, z.ZodType>>> {
  return schema instanceof z.ZodObject;
}
