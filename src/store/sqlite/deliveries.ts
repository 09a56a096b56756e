/** The outbox as the gateway sees it: rows become deliveries, and outputs come back from their blobs. */
import type { Delivery } from '../../dispatch/delivery.ts';
import type { WebhookEvent } from '../../dispatch/webhook.ts';
import { parseCursor } from '../cursor.ts';
import type { Deliveries } from '../deliveries.ts';
import { viewOf } from '../delivery-view.ts';
import type { DeliveryReply, ReaderCalls, WriterCalls } from './calls.ts';
import type { PayloadBlobs } from '../payload-blobs.ts';
import { NO_BYTES } from './payloads.ts';
import { rowOfSnapshot, toJob } from './rows.ts';
import type { Thread } from './thread.ts';

export interface SqliteDeliveriesOptions {
  readonly reader: Pick<Thread<ReaderCalls>, 'call'>;
  readonly writer: Pick<Thread<WriterCalls>, 'call'>;
  readonly blobs: Pick<PayloadBlobs, 'get'>;
}

export function createSqliteDeliveries({ reader, writer, blobs }: SqliteDeliveriesOptions): Deliveries {
  async function deliveryOf({ host, row }: DeliveryReply): Promise<Delivery> {
    const [id, event, snapshot, outputType, inline, blob, createdAt, attempt] = row;
    // A blob that is gone is an output that is left out: the receiver is told all the same.
    const bytes = inline ?? (blob === null ? null : await blobs.get(blob));
    const output = outputType === null ? null : { contentType: outputType, bytes: bytes ?? NO_BYTES };
    const job = toJob(rowOfSnapshot(snapshot), NO_BYTES, output);
    return {
      id,
      event: event as WebhookEvent,
      job,
      isOutputLeftOut: outputType !== null && bytes === null,
      webhook: job.webhook!,
      host,
      createdAt,
      attempt: attempt + 1,
    };
  }

  return {
    async claim({ limit, perHost, inFlight, leaseMs }) {
      const call = { limit, perHost, inFlight: [...inFlight], leaseMs };
      return Promise.all((await writer.call('claimDeliveries', call)).map(deliveryOf));
    },
    end: (ends) => writer.call('endDeliveries', ends),
    ofJob: async (id) => (await reader.call('deliveriesOf', id)).map(viewOf),
    async list({ limit, cursor, status, caller }) {
      const beforeSeq = cursor === null ? null : parseCursor(cursor);
      const filter = { status: status ?? null, caller: caller ?? null };
      const rows = await reader.call('listDeliveries', { limit: limit + 1, beforeSeq, ...filter });
      const page = rows.slice(0, limit);
      return { deliveries: page.map(viewOf), next: rows.length > limit ? String(page.at(-1)![0]) : null };
    },
    async retry(id) {
      const row = await writer.call('retryDelivery', id);
      return row === null ? null : viewOf(row);
    },
    pending: () => reader.call('pendingDeliveries', null),
  };
}
