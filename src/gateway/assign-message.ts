/** A job as the message that assigns it. */
import type { Job } from '../dispatch/job.ts';
import type { Assign } from '../protocol/messages.ts';

export function assignMessage(job: Job, version: string, timeoutMs: number | null): Assign {
  const message: Assign = {
    type: 'assign',
    job: job.id,
    attempt: job.attempt,
    model: job.model,
    version,
    rows: job.rows,
    contentType: job.input.contentType,
    bytes: job.input.bytes.byteLength,
  };
  if (timeoutMs !== null) message.timeoutMs = timeoutMs;
  for (const _ in job.parameters) {
    message.parameters = job.parameters as NonNullable<Assign['parameters']>;
    break;
  }
  return message;
}
