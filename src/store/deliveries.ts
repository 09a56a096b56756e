/**
 * The part of the Store port that is the outbox of webhooks. Nothing is put in from outside: `claim`, `settle` and everything
 * else that starts or decides a job with a webhook records the delivery in the same step. So there is no moment in which a
 * job is decided and nobody knows that its caller is to be told.
 */
import type { JobId } from '../dispatch/job.ts';
import type { Delivery, DeliveryEnd, DeliveryId, DeliveryStatus, DeliveryView } from '../dispatch/delivery.ts';

/** Why a job with a webhook is refused while the outbox is full. */
export const TOO_MANY_DELIVERIES = 'too many webhooks wait to be delivered: try again later, or without a webhook';

export interface DeliveryClaim {
  readonly limit: number;
  /** At once to one host. */
  readonly perHost: number;
  /** What is under way to each host already. */
  readonly inFlight: ReadonlyMap<string, number>;
  /** After so long another sender may take it: longer than an attempt can last. Survives this process. */
  readonly leaseMs: number;
}

export interface DeliveryListRequest {
  readonly limit: number;
  /** Opaque; from the previous page. */
  readonly cursor: string | null;
  readonly status?: DeliveryStatus;
  /** Only those of this caller's jobs. */
  readonly caller?: string;
}

export interface Deliveries {
  /** Takes what is due, oldest first for each host, host after host in turn. */
  claim(request: DeliveryClaim): Promise<Delivery[]>;
  /** What became of attempts. False: another attempt has begun, or it is over; nothing was changed. */
  end(ends: readonly DeliveryEnd[]): Promise<boolean[]>;
  ofJob(id: JobId): Promise<DeliveryView[]>;
  /** Newest first. */
  list(request: DeliveryListRequest): Promise<{ readonly deliveries: DeliveryView[]; readonly next: string | null }>;
  /** A failed one is pending again, due now, as if it had never been tried. null: there is none that failed. */
  retry(id: DeliveryId): Promise<DeliveryView | null>;
  /** How many wait, and since when the oldest does. */
  pending(): Promise<number>;
}
