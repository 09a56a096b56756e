/** The outbox as the gateway sees it. Its rows are recorded by `claim_2`, `succeed_1` and `end_1`; each host has its turn here. */
import { DELIVERED_TTL_MS, FAILED_TTL_MS, type Delivery, type DeliveryEnd } from '../../dispatch/delivery.ts';
import { viewOf, type ViewRow } from '../delivery-view.ts';
import type { WebhookEvent } from '../../dispatch/webhook.ts';
import { parseCursor } from '../cursor.ts';
import type { Deliveries, DeliveryClaim } from '../deliveries.ts';
import type { Row } from './connection.ts';
import type { Times } from './options.ts';
import type { Payloads } from './payloads.ts';
import type { Read } from './reads.ts';
import { toJob, toRows, type JobRecord } from './rows.ts';
import type { Turns } from './turns.ts';

export interface OutboxOptions {
  readonly read: Read;
  /** On the connection that writes, in turn. */
  readonly write: (text: string, values: readonly unknown[]) => Promise<Row[]>;
  readonly turns: Pick<Turns, 'alone'>;
  readonly payloads: Payloads;
  readonly times: Times;
  readonly slot: number;
}

/** As in `memory-outbox.ts`. */
const MAX_VISITED_HOSTS = 256;
const VIEW =
  'd.seq, d.id, d.job, d.caller, d.event, d.url, d.status, d.attempt, d.created_at, d.due_at, d.ended_at, d.answer, d.reason';
const NO_BYTES = new Uint8Array(0);

export function createOutbox({ read, write, turns, payloads, times, slot }: OutboxOptions): Deliveries {
  let lastHost = '';

  /** Hosts with something pending, from the one behind the last visited. */
  async function hostsInTurn(): Promise<string[]> {
    const hosts = `WITH RECURSIVE host AS (
        (SELECT d.host, 1 AS n FROM postern.delivery d WHERE d.status = 'pending' AND d.host > $1 ORDER BY d.host LIMIT 1)
        UNION ALL
        SELECT (SELECT d.host FROM postern.delivery d WHERE d.status = 'pending' AND d.host > host.host ORDER BY d.host LIMIT 1), n + 1
        FROM host WHERE host.host IS NOT NULL AND n < $2
      ) SELECT host FROM host WHERE host IS NOT NULL`;
    const behind = (await read(hosts, [lastHost, MAX_VISITED_HOSTS])).map(([host]) => host as string);
    if (behind.length === MAX_VISITED_HOSTS || lastHost === '') return behind;
    const all = (await read(hosts, ['', MAX_VISITED_HOSTS - behind.length])).map(([host]) => host as string);
    return [...behind, ...all.filter((host) => !behind.includes(host))];
  }

  async function claim({ limit, perHost, inFlight, leaseMs }: DeliveryClaim): Promise<Delivery[]> {
    const hosts = await hostsInTurn();
    if (hosts.length === 0) return [];
    const rooms = hosts.map((host) => Math.max(0, perHost - (inFlight.get(host) ?? 0)));
    const rows = await write(
      `SELECT d.host, d.id, d.event, d.snapshot, d.output_type, d.output, d.output_blob, d.created_at, d.attempt
       FROM postern.claim_deliveries_1($1, $2, $3, $4, $5) AS d`,
      [hosts, rooms, limit, leaseMs, times.now()],
    );
    const last = rows.length === limit ? (rows.at(-1)?.[0] as string) : hosts.at(-1);
    lastHost = last ?? lastHost;
    return Promise.all(rows.map(deliveryOf));
  }

  async function deliveryOf(row: Row): Promise<Delivery> {
    const [host, id, event, snapshot, outputType, inline, blob, createdAt, attempt] = row as [
      string,
      string,
      string,
      string,
      string | null,
      Uint8Array | null,
      string | null,
      number,
      number,
    ];
    // A blob that is gone is an output that is left out: the receiver is told all the same.
    const bytes = await payloads.find(inline, blob);
    const output = outputType === null ? null : { contentType: outputType, bytes: bytes ?? NO_BYTES };
    const job = toJob(JSON.parse(snapshot) as JobRecord, NO_BYTES, output);
    const isOutputLeftOut = outputType !== null && bytes === null;
    return { id, event: event as WebhookEvent, job, isOutputLeftOut, webhook: job.webhook!, host, createdAt, attempt };
  }

  async function end(ends: readonly DeliveryEnd[]): Promise<boolean[]> {
    const rows = ends.map(({ id, attempt, outcome }, n) => ({
      n,
      id,
      attempt,
      status: outcome.type === 'retry' ? 'pending' : outcome.type,
      due_at: outcome.type === 'retry' ? outcome.dueAt : null,
      answer: outcome.answer,
      reason: outcome.type === 'delivered' ? null : outcome.reason,
    }));
    const ended = await write('SELECT * FROM postern.end_deliveries_1($1, $2, $3, $4, $5)', [
      toRows(rows),
      slot,
      times.now(),
      DELIVERED_TTL_MS,
      FAILED_TTL_MS,
    ]);
    const changed = new Set(ended.map(([n]) => n));
    return ends.map((_, n) => changed.has(n));
  }

  return {
    claim: (request) => turns.alone(() => claim(request)),
    end: (ends) => (ends.length === 0 ? Promise.resolve([]) : turns.alone(() => end(ends))),
    async ofJob(id) {
      return (await read(`SELECT ${VIEW} FROM postern.delivery d WHERE d.job = $1 ORDER BY d.seq`, [id])).map(view);
    },
    async list({ limit, cursor, status = null, caller = null }) {
      const before = cursor === null ? Number.MAX_SAFE_INTEGER : parseCursor(cursor);
      const rows = await read(
        `SELECT ${VIEW} FROM postern.delivery d
         WHERE d.seq < $1 AND ($2::text IS NULL OR d.status = $2) AND ($3::text IS NULL OR d.caller = $3) ORDER BY d.seq DESC LIMIT $4`,
        [before, status, caller, limit + 1],
      );
      const page = rows.slice(0, limit);
      return { deliveries: page.map(view), next: rows.length > limit ? String(page.at(-1)![0]) : null };
    },
    retry: (id) =>
      turns.alone(async () => {
        const [row] = await write(`SELECT ${VIEW} FROM postern.retry_delivery_1($1, $2, $3) AS d`, [
          id,
          slot,
          times.now(),
        ]);
        return row === undefined ? null : view(row);
      }),
    async pending() {
      const [row] = await read('SELECT coalesce(sum(t.pending_deliveries), 0)::bigint FROM postern.total t');
      return row![0] as number;
    },
  };
}

const view = (row: Row) => viewOf(row as unknown as ViewRow);
