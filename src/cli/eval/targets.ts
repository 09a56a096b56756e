/** Figures that must be reached: `{"accuracy.top1": {"min": 0.74}, "calibration.ece": {"max": 0.05}}`. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { PosternError } from '../../errors.ts';

const targetsFile = z.record(z.string(), z.strictObject({ min: z.number().optional(), max: z.number().optional() }));
export type Targets = z.infer<typeof targetsFile>;

export interface TargetResult {
  readonly figure: string;
  readonly wanted: string;
  readonly got: number;
  readonly met: boolean;
}

export async function readTargets(file: string): Promise<Targets> {
  try {
    return targetsFile.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new PosternError('config_invalid', `the targets in ${file} cannot be used: ${why}`, { cause: error });
  }
}

/** Throws config_invalid for a figure that the report does not have: a target that is never checked looks met. */
export function checkTargets(targets: Targets, report: object): TargetResult[] {
  return Object.entries(targets).map(([figure, { min = -Infinity, max = Infinity }]) => {
    const got = figure
      .split('.')
      .reduce<unknown>((value, key) => (value as Record<string, unknown> | null | undefined)?.[key], report);
    if (typeof got !== 'number')
      throw new PosternError('config_invalid', `target ${figure}: the report has no such figure`);
    const bounds = [...(min === -Infinity ? [] : [`≥ ${min}`]), ...(max === Infinity ? [] : [`≤ ${max}`])];
    return { figure, wanted: bounds.join(' and '), got, met: got >= min && got <= max };
  });
}
