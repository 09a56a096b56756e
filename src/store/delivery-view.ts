/** A delivery as its row has it on a disk, and as callers see it. */
import type { DeliveryStatus, DeliveryView } from '../dispatch/delivery.ts';
import type { WebhookEvent } from '../dispatch/webhook.ts';

/** The columns of a view, the sequence number first. */
export type ViewRow = [
  seq: number,
  id: string,
  job: string,
  caller: string,
  event: string,
  url: string,
  status: string,
  attempt: number,
  createdAt: number,
  dueAt: number,
  endedAt: number | null,
  answer: number | null,
  reason: string | null,
];

export function viewOf(row: Readonly<ViewRow>): DeliveryView {
  const [, id, job, caller, event, url, status, attempt, createdAt, dueAt, endedAt, answer, reason] = row;
  return {
    id,
    job,
    caller,
    event: event as WebhookEvent,
    url,
    status: status as DeliveryStatus,
    attempt,
    createdAt,
    nextAt: status === 'pending' ? dueAt : null,
    endedAt,
    answer,
    reason,
  };
}
