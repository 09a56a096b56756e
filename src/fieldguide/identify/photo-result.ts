/** What a decided prediction says of a photo. Whatever a model answers is checked: it is other people's code. */
import { z } from 'zod';
import { ERROR_CODES, type ErrorCode } from '../../errors.ts';
import type { Predictions } from '../../gateway/ports.ts';
import type { PhotoResult } from './outcome.ts';

export type Job = NonNullable<Awaited<ReturnType<Predictions['get']>>>;

/** More labels than any guide has entries for. */
const MAX_LABELS = 100_000;
const score = z.number().min(0).max(1.000_001);
const answer = z.object({
  predictions: z.array(z.object({ label: z.string().min(1).max(200), score })).max(MAX_LABELS),
  rejected: z.boolean(),
  unsure: z.boolean().default(false),
  reject_score: score.nullish(),
});

/** null: it is not decided. */
export function photoResultOf(job: Job): PhotoResult | null {
  switch (job.status) {
    case 'starting':
    case 'processing':
      return null;
    case 'succeeded':
      return readAnswer(job);
    case 'failed':
      return failure(job.error?.code ?? 'internal', job.error?.message ?? 'no reason was given');
    case 'aborted':
      return failure('deadline_exceeded', 'no worker came in time', true);
    case 'canceled':
      return failure('canceled', 'somebody cancelled the prediction', true);
    default:
      return job.status satisfies never;
  }
}

function readAnswer({ output, servedVersion }: Job): PhotoResult {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(output?.bytes ?? new Uint8Array(0)).toString('utf8'));
  } catch {
    return failure('output_invalid', 'the model answered something else than JSON');
  }
  const parsed = answer.safeParse(value);
  if (!parsed.success) return failure('output_invalid', 'the model answered something else than a classification');
  const { predictions, rejected, unsure, reject_score: rejectScore } = parsed.data;
  const scores = predictions.map(({ label, score: of }) => ({ label, score: of }));
  return { type: 'scores', scores, rejected, unsure, rejectScore: rejectScore ?? null, version: servedVersion };
}

export function failure(
  code: ErrorCode,
  message: string,
  retryable: boolean = ERROR_CODES[code].retryable,
): PhotoResult {
  return { type: 'failed', code, message: message.slice(0, 300), retryable };
}
