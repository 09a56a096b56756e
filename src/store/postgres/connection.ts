/**
 * One connection to PostgreSQL that comes back: owner of its socket. Statements of one call travel together (a pipeline) and, where
 * there are several, as one transaction; the next call is sent when the answers are here.
 *
 * Nothing of a session is used but `LISTEN`, by a connection made for it: no named statements, no `SET`, no session locks. So
 * a pooler that gives every transaction another connection may stand between.
 *
 * Every wait is bounded: until it is connected, and until answers come. A connection that does not answer is destroyed,
 * and what was sent on it is in doubt.
 */
import { Socket } from 'node:net';
import type { Client, ClientConfig, CustomTypesConfig } from 'pg';
import { sleep, type Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import { InDoubt, isAftermath, toStorageError } from './errors.ts';
import type { Listener } from './liveness.ts';

export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** Rows as arrays: a third of the cost of objects. Numbers of 64 bits are numbers: none here is beyond 2⁵³. */
export type Row = readonly unknown[];

/** What was sent so far: for measurements. */
export interface Meter {
  statements: number;
  transactions: number;
}

export interface ConnectionOptions {
  readonly url: Secret;
  readonly clock: Clock;
  readonly meter: Meter;
  /** How long a call waits for a connection before it fails. */
  readonly connectMs: number;
  /** How long one answer may take. */
  readonly answerMs: number;
  /** Is told what is asked and heard. */
  readonly listener?: Listener;
  /** Runs on every new connection, before anything else does. */
  readonly onConnect?: (run: Run) => Promise<void>;
  /** What is said on the channels that this connection listens to. */
  readonly onNotification?: (payload: string) => void;
  /** It was there, and is gone. */
  readonly onLost?: () => void;
}

export type Run = (statements: readonly Statement[]) => Promise<Row[][]>;

export interface Connection {
  /** Rejects with `InDoubt` when it may have been done. */
  readonly run: Run;
  /** A transaction that thinks between its statements. It is rolled back when `body` throws. */
  transaction<T>(body: (run: Run) => Promise<T>): Promise<T>;
  /** Calls that are out. */
  readonly busy: number;
  stop(): Promise<void>;
}

const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 1_000;
const BIGINT = 20;
const JSON_TYPE = 114;
const BEGIN: Statement = { text: 'BEGIN', values: [] };
const COMMIT: Statement = { text: 'COMMIT', values: [] };
const ROLLBACK: Statement = { text: 'ROLLBACK', values: [] };
/** Should this process be stopped in the middle: the others wait for its locks no longer than that. */
const BOUNDED: Statement = { text: "SET LOCAL idle_in_transaction_session_timeout = '10s'", values: [] };

/** Only who has a database pays for loading the library. */
const load = () => import('pg');

function parsersOver({ types }: Awaited<ReturnType<typeof load>>): CustomTypesConfig {
  return {
    getTypeParser: ((oid: number, format?: 'text') => {
      if (oid === BIGINT) return Number;
      if (oid === JSON_TYPE) return String;
      return types.getTypeParser(oid, format) as unknown;
    }) as CustomTypesConfig['getTypeParser'],
  };
}

interface Live {
  readonly client: Client;
  readonly socket: Socket;
  isLost: boolean;
}

export function createConnection(options: ConnectionOptions): Connection {
  const { clock, meter, connectMs, answerMs, listener } = options;
  let live: Live | null = null;
  let connecting: Promise<Live> | null = null;
  const stopping = new AbortController();
  let busy = 0;

  function lost(one: Live): void {
    if (one.isLost) return;
    one.isLost = true;
    one.socket.destroy();
    if (live === one) {
      live = null;
      options.onLost?.();
    }
  }

  async function open(): Promise<Live> {
    const pg = await load();
    const socket = new Socket();
    const config: ClientConfig & { readonly pipeline: boolean } = {
      connectionString: options.url.reveal(),
      stream: () => socket,
      connectionTimeoutMillis: connectMs,
      keepAlive: true,
      application_name: 'postern',
      types: parsersOver(pg),
      pipeline: true,
    };
    const client = new pg.Client(config);
    const one: Live = { client, socket, isLost: false };
    client.on('error', () => lost(one));
    client.on('end', () => lost(one));
    client.on('notification', ({ payload }) => options.onNotification?.(payload ?? ''));
    try {
      await client.connect();
      await options.onConnect?.((statements) => send(one, statements));
    } catch (error) {
      lost(one);
      throw toStorageError(error);
    }
    // It may have been lost, or not be wanted any more, since.
    if (one.isLost || stopping.signal.aborted) {
      lost(one);
      throw new PosternError('storage_failed', 'the connection to the database was lost at once');
    }
    listener?.heard();
    live = one;
    return one;
  }

  /** Tries until the time is over: the database may be about to come back. */
  async function connect(): Promise<Live> {
    const until = clock.monotonic() + connectMs;
    for (let waitMs = FIRST_RETRY_MS; ; waitMs = Math.min(2 * waitMs, MAX_RETRY_MS)) {
      if (stopping.signal.aborted) throw closed();
      try {
        return await open();
      } catch (error) {
        if (clock.monotonic() + waitMs > until) throw error;
      }
      await sleep(clock, waitMs, stopping.signal).catch(() => undefined);
    }
  }

  function ready(): Promise<Live> {
    if (stopping.signal.aborted) return Promise.reject(closed());
    if (live !== null) return Promise.resolve(live);
    connecting ??= connect().finally(() => (connecting = null));
    return connecting;
  }

  async function send(one: Live, statements: readonly Statement[]): Promise<Row[][]> {
    meter.statements += statements.length;
    const watchdog = clock.after(answerMs, () => lost(one));
    try {
      const queries = statements.map(({ text, values }) =>
        one.client.query<unknown[]>({ text, values: values as unknown[], rowMode: 'array' }),
      );
      const answers = await Promise.allSettled(queries);
      const errors = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as unknown] : []));
      if (!one.isLost) listener?.heard();
      if (errors.length > 0) throw errors.find((error) => !isAftermath(error)) ?? errors[0];
      return answers.map((answer) => (answer as PromiseFulfilledResult<{ rows: unknown[][] }>).value.rows);
    } catch (error) {
      if (!isOver(one, error)) throw error;
      lost(one);
      throw new InDoubt(`the connection to the database broke: ${(error as Error).message}`);
    } finally {
      watchdog.cancel();
    }
  }

  async function counted<T>(work: () => Promise<T>): Promise<T> {
    busy += 1;
    const answered = listener?.asked();
    try {
      return await work();
    } finally {
      busy -= 1;
      answered?.();
    }
  }

  return {
    run: (statements) =>
      counted(async () => {
        const one = await ready();
        meter.transactions += 1;
        if (statements.length === 1) return send(one, statements);
        const answers = await send(one, [BEGIN, ...statements, COMMIT]);
        return answers.slice(1, -1);
      }),
    transaction: (body) =>
      counted(async () => {
        const one = await ready();
        meter.transactions += 1;
        await send(one, [BEGIN, BOUNDED]);
        try {
          const result = await body((statements) => send(one, statements));
          await send(one, [COMMIT]);
          return result;
        } catch (error) {
          if (!one.isLost) await send(one, [ROLLBACK]).catch(() => lost(one));
          throw error;
        }
      }),
    get busy() {
      return busy;
    },
    async stop() {
      stopping.abort();
      await connecting?.catch(() => undefined);
      const one = live;
      if (one === null) return;
      live = null;
      const late = clock.after(answerMs, () => one.socket.destroy());
      await one.client.end().catch(() => undefined);
      late.cancel();
      one.isLost = true;
    },
  };
}

/** Is this the end of the connection, and not the answer to a statement? Shutdowns come as answers first. */
function isOver(one: Live, error: unknown): boolean {
  const { code } = error as { code?: unknown };
  const isAnswer = typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !/^(57P0|08)/.test(code);
  return one.isLost || one.socket.destroyed || !isAnswer;
}

const closed = (): PosternError => new PosternError('storage_failed', 'the store is closed');
