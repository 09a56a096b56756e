/** The outbox of the memory driver. Owner of all deliveries; `record` runs inside the step that starts or decides a job. */
import type { Clock } from '../clock.ts';
import type { Job, JobId } from '../dispatch/job.ts';
import {
  DELIVERED_TTL_MS,
  deliveryId,
  FAILED_TTL_MS,
  hostOf,
  MAX_DELIVERY_OUTPUT_BYTES,
  MAX_ENDED_DELIVERIES,
  type Delivery,
  type DeliveryEnd,
  type DeliveryId,
  type DeliveryStatus,
  type DeliveryView,
} from '../dispatch/delivery.ts';
import type { WebhookEvent } from '../dispatch/webhook.ts';
import { parseCursor } from './cursor.ts';
import type { Deliveries, DeliveryClaim } from './deliveries.ts';
import { createOrderedList, type OrderedList } from './ordered-list.ts';

interface Row {
  readonly seq: number;
  readonly id: DeliveryId;
  readonly event: WebhookEvent;
  job: Job;
  readonly isOutputLeftOut: boolean;
  readonly host: string;
  readonly createdAt: number;
  status: DeliveryStatus;
  attempt: number;
  /** Pending: when it is sent next. Ended: when it is forgotten. */
  dueAt: number;
  endedAt: number | null;
  answer: number | null;
  reason: string | null;
}

export interface MemoryOutboxOptions {
  readonly clock: Clock;
  readonly maxPending: number;
  /** Outputs of those that are not delivered; beyond it they are left out. */
  readonly maxBytes: number;
}

const byDue = (a: Pick<Row, 'dueAt' | 'seq'>, b: Pick<Row, 'dueAt' | 'seq'>): number =>
  a.dueAt - b.dueAt || a.seq - b.seq;
/** One claim visits no more hosts than this; the next one goes on behind them. */
const MAX_VISITED_HOSTS = 256;

export type MemoryOutbox = ReturnType<typeof createMemoryOutbox>;

export function createMemoryOutbox({ clock, maxPending, maxBytes }: MemoryOutboxOptions) {
  const rows = new Map<DeliveryId, Row>();
  const ofJobs = new Map<JobId, Row[]>();
  const hosts = new Map<string, OrderedList<Row>>();
  const ended = createOrderedList<Row>(byDue);
  let nextSeq = 1;
  let pending = 0;
  let bytes = 0;
  let lastHost = '';

  function enqueue(row: Row): void {
    let queue = hosts.get(row.host);
    if (!queue) hosts.set(row.host, (queue = createOrderedList<Row>(byDue)));
    queue.insert(row);
  }

  function dequeue(row: Row): void {
    const queue = hosts.get(row.host);
    queue?.remove(row);
    if (queue?.size === 0) hosts.delete(row.host);
  }

  const bytesOf = ({ job }: Row): number => job.output?.bytes.byteLength ?? 0;

  function forget(row: Row): void {
    ended.remove(row);
    rows.delete(row.id);
    bytes -= bytesOf(row);
    const left = (ofJobs.get(row.job.id) ?? []).filter((one) => one !== row);
    if (left.length === 0) ofJobs.delete(row.job.id);
    else ofJobs.set(row.job.id, left);
  }

  /** Hosts with something pending, in order, from the one behind the last visited. */
  function hostsInTurn(): string[] {
    const sorted = [...hosts.keys()].sort();
    const from = sorted.findIndex((host) => host > lastHost);
    return from <= 0 ? sorted : [...sorted.slice(from), ...sorted.slice(0, from)];
  }

  function take({ limit, perHost, inFlight, leaseMs }: DeliveryClaim): Delivery[] {
    const now = clock.now();
    const taken: Row[] = [];
    for (const host of hostsInTurn().slice(0, MAX_VISITED_HOSTS)) {
      if (taken.length === limit) break;
      lastHost = host;
      const queue = hosts.get(host)!;
      let room = Math.min(perHost - (inFlight.get(host) ?? 0), limit - taken.length);
      for (let row = queue.at(0); room > 0 && row !== undefined && row.dueAt <= now; row = queue.at(0)) {
        queue.remove(row);
        row.attempt += 1;
        row.dueAt = now + leaseMs;
        taken.push(row);
        room -= 1;
        queue.insert(row);
      }
    }
    return taken.map(deliveryOf);
  }

  function endOne({ id, attempt, outcome }: DeliveryEnd): boolean {
    const row = rows.get(id);
    if (row?.status !== 'pending' || row.attempt !== attempt) return false;
    dequeue(row);
    row.answer = outcome.answer;
    row.reason = outcome.type === 'delivered' ? null : outcome.reason;
    if (outcome.type === 'retry') {
      row.dueAt = outcome.dueAt;
      enqueue(row);
      return true;
    }
    pending -= 1;
    if (outcome.type === 'delivered') {
      bytes -= bytesOf(row);
      row.job = { ...row.job, output: null };
    }
    row.status = outcome.type;
    row.endedAt = clock.now();
    row.dueAt = row.endedAt + (outcome.type === 'delivered' ? DELIVERED_TTL_MS : FAILED_TTL_MS);
    ended.insert(row);
    return true;
  }

  const port: Deliveries = {
    claim: (request) => Promise.resolve(take(request)),
    end: (ends) => Promise.resolve(ends.map(endOne)),
    ofJob: (id) => Promise.resolve((ofJobs.get(id) ?? []).map(viewOf)),
    list({ limit, cursor, status, caller }) {
      const before = cursor === null ? Infinity : parseCursor(cursor);
      const found = [...rows.values()]
        .filter((row) => row.seq < before && (status === undefined || row.status === status))
        .filter((row) => caller === undefined || row.job.caller === caller)
        .sort((a, b) => b.seq - a.seq);
      const page = found.slice(0, limit);
      const next = found.length > limit ? String(page.at(-1)!.seq) : null;
      return Promise.resolve({ deliveries: page.map(viewOf), next });
    },
    retry(id) {
      const row = rows.get(id);
      if (row?.status !== 'failed') return Promise.resolve(null);
      ended.remove(row);
      pending += 1;
      Object.assign(row, {
        status: 'pending',
        attempt: 0,
        dueAt: clock.now(),
        endedAt: null,
        answer: null,
        reason: null,
      });
      enqueue(row);
      return Promise.resolve(viewOf(row));
    },
    pending: () => Promise.resolve(pending),
  };

  return {
    port,
    /** Is there no room for what one more job may bring? */
    isFull: (): boolean => pending >= maxPending,
    /** `job`: as it stands after the event. Nothing is recorded that its caller did not ask for. */
    record(job: Job, event: WebhookEvent): void {
      const { webhook } = job;
      if (webhook?.events.includes(event) !== true) return;
      const id = deliveryId(job.id, event);
      if (rows.has(id)) return;
      const outputBytes = job.output?.bytes.byteLength ?? 0;
      const isOutputLeftOut = outputBytes > MAX_DELIVERY_OUTPUT_BYTES || bytes + outputBytes > maxBytes;
      const { output } = job;
      // Copied: it may be a view on a receive buffer.
      const kept = output && { ...output, bytes: isOutputLeftOut ? NO_BYTES : Uint8Array.from(output.bytes) };
      const input = { contentType: job.input.contentType, bytes: NO_BYTES };
      const now = clock.now();
      const row: Row = {
        seq: nextSeq++,
        id,
        event,
        job: { ...job, input, output: kept },
        isOutputLeftOut,
        host: hostOf(webhook.url),
        createdAt: now,
        status: 'pending',
        attempt: 0,
        dueAt: now,
        endedAt: null,
        answer: null,
        reason: null,
      };
      rows.set(id, row);
      ofJobs.set(job.id, [...(ofJobs.get(job.id) ?? []), row]);
      pending += 1;
      bytes += bytesOf(row);
      enqueue(row);
    },
    sweep(limit: number): void {
      const now = clock.now();
      for (let swept = 0; swept < limit; swept += 1) {
        const oldest = ended.at(0);
        if (oldest === undefined || (oldest.dueAt > now && ended.size <= MAX_ENDED_DELIVERIES)) return;
        forget(oldest);
      }
    },
  };
}

const NO_BYTES = new Uint8Array(0);

function deliveryOf({ id, event, job, isOutputLeftOut, host, createdAt, attempt }: Row): Delivery {
  return { id, event, job, isOutputLeftOut, webhook: job.webhook!, host, createdAt, attempt };
}

function viewOf(row: Row): DeliveryView {
  const { id, job, event, status, attempt, createdAt, dueAt, endedAt, answer, reason } = row;
  return {
    id,
    job: job.id,
    caller: job.caller,
    event,
    url: job.webhook!.url,
    status,
    attempt,
    createdAt,
    nextAt: status === 'pending' ? dueAt : null,
    endedAt,
    answer,
    reason,
  };
}
