/** Reads `POSTERN_LIMITS_FILE`: what may run at once, in YAML. Its numbers are checked with the rest of the configuration. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { PosternError } from '../errors.ts';
import type { GatewayConfigInput } from '../gateway/config.ts';

/** Larger is no file of limits. */
const MAX_BYTES = 1024 * 1024;

const file = z.strictObject({
  worker: z.strictObject({ max_rows: z.int().min(1) }).optional(),
  models: z
    .record(
      z.string(),
      z.strictObject({
        concurrency: z.strictObject({ reserved: z.int().min(1).optional(), max: z.int().min(1).optional() }),
      }),
    )
    .optional(),
});

/** Throws config_invalid that names every problem. */
export function readLimits(path: string): NonNullable<GatewayConfigInput['limits']> {
  const { worker, models = {} } = parseLimits(contentOf(path), path);
  return {
    workerMaxRows: worker?.max_rows ?? null,
    models: Object.fromEntries(
      Object.entries(models).map(([model, { concurrency }]) => {
        const { reserved, max } = concurrency;
        return [model, { ...(reserved ? { reservedRows: reserved } : {}), ...(max ? { maxRows: max } : {}) }];
      }),
    ),
  };
}

function contentOf(path: string): string {
  try {
    const content = readFileSync(path);
    if (content.byteLength <= MAX_BYTES) return content.toString('utf8');
  } catch (error) {
    throw new PosternError('config_invalid', `POSTERN_LIMITS_FILE cannot be read: ${(error as Error).message}`);
  }
  throw new PosternError('config_invalid', `POSTERN_LIMITS_FILE ${path} is larger than ${MAX_BYTES} bytes`);
}

function parseLimits(text: string, path: string): z.infer<typeof file> {
  let content: unknown;
  try {
    content = parse(text, { maxAliasCount: 0 }) ?? {};
  } catch (error) {
    throw new PosternError('config_invalid', `POSTERN_LIMITS_FILE ${path} is no YAML: ${(error as Error).message}`);
  }
  const parsed = file.safeParse(content);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `\n  ${issue.path.join('.') || '(root)'}: ${issue.message}`);
  throw new PosternError('config_invalid', `POSTERN_LIMITS_FILE ${path} has problems:${problems.join('')}`);
}
