/** How a delivery of a webhook is shown, with its prediction and in lists. */
import type { DeliveryView } from '../../dispatch/delivery.ts';

/** As a prediction shows those of its own. */
export function shownDelivery(view: DeliveryView): object {
  const { id, event, status, attempt, createdAt, nextAt, endedAt, answer, reason } = view;
  return {
    id,
    event,
    status,
    attempts: attempt,
    answer,
    error: reason,
    created_at: time(createdAt),
    next_attempt_at: time(nextAt),
    ended_at: time(endedAt),
  };
}

const time = (epochMs: number | null): string | null => (epochMs === null ? null : new Date(epochMs).toISOString());
