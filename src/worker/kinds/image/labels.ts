/** `labels.json`: the names of a network's outputs, in order. */
import { join } from 'node:path';
import { z } from 'zod';
import { PosternError } from '../../../errors.ts';
import { readSmallFile } from '../../repository.ts';

/** 20,000 labels of 200 characters. */
const MAX_LABELS_BYTES = 4 * 1024 * 1024;
const label = z.string().min(1).max(200);

const schema = z.strictObject({
  /** One per output of the network; outputs that share a label have their probabilities summed. */
  labels: z.array(label).min(1).max(20_000),
  /** Other names of a label, as data sets use them; read by the evaluation, not by the worker. */
  aliases: z.record(label, label).optional(),
});

export async function readLabels(folder: string, file: string): Promise<readonly string[]> {
  const text = await readSmallFile(join(folder, file), MAX_LABELS_BYTES);
  if (text === null)
    throw new PosternError('model_invalid', `${file} is missing: postern.yaml names it under output.labels`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PosternError('model_invalid', `${file} is not valid JSON`, { cause });
  }
  const outcome = schema.safeParse(value);
  if (outcome.success) return outcome.data.labels;
  const problems = outcome.error.issues.map((issue) => `${issue.path.join('.') || 'top'}: ${issue.message}`);
  throw new PosternError('model_invalid', `${file}: ${problems.slice(0, 10).join('; ')}`);
}
