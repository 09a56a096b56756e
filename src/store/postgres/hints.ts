/**
 * What gateways on one database tell each other: work arrived, jobs were decided. Hints only: whoever misses one learns the same from its
 * next look, a second later at most. What happened while one notification was on its way is told by the next one, so that there is never more
 * than one, and never one for each job. Notifications are sent after the commit and not in it: those of transactions that write are
 * committed one after the other by the whole server.
 */
import type { Clock } from '../../clock.ts';
import { toPosternError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { StoreHint } from '../store.ts';
import { createConnection, type ConnectionOptions } from './connection.ts';
import type { Read } from './reads.ts';

/** A payload holds less than 8,000 bytes; names of decided jobs beyond this are left out, and everybody looks. More models come next. */
const MAX_NAMED_JOBS = 150;
const MAX_NAMED_MODELS = 20;
const CHANNEL = 'postern';
const RELISTEN_MS = 1_000;
/** Longer than any way to the database and back. */
const ECHO_MS = 10_000;

interface Message {
  /** Who says it. */
  readonly from: string;
  readonly models?: readonly string[];
  readonly decided?: readonly string[] | true;
  readonly members?: true;
}

export interface HintsOptions {
  readonly listen: Omit<ConnectionOptions, 'onConnect' | 'onNotification' | 'onLost'>;
  readonly read: Read;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly self: string;
}

export function createHints({ listen, read, clock, logger, self }: HintsOptions) {
  const listeners = new Set<(hint: StoreHint) => void>();
  let models = new Set<string>();
  let decided: string[] = [];
  let hasMemberNews = false;
  let isSending = false;
  let isStopping = false;
  let isHeard = false;
  let isWarned = false;

  const connection = createConnection({
    ...listen,
    async onConnect(run) {
      await run([{ text: `LISTEN ${CHANNEL}`, values: [] }]);
    },
    onNotification: receive,
    onLost: () => void keepListening(),
  });

  function receive(payload: string): void {
    isHeard = true;
    let message: Message;
    try {
      message = JSON.parse(payload) as Message;
    } catch {
      return;
    }
    if (message.from === self) return;
    if (message.models !== undefined) tell({ type: 'waiting', models: message.models });
    if (message.members === true) tell({ type: 'members' });
    if (message.decided !== undefined)
      tell({ type: 'decided', jobs: message.decided === true ? null : message.decided });
  }

  function tell(hint: StoreHint): void {
    for (const listener of listeners) {
      try {
        listener(hint);
      } catch (error) {
        logger.error('a listener of hints failed', { error: toPosternError(error).message });
      }
    }
  }

  /** Until it listens, or is stopped. What was missed meanwhile nobody will say again: everybody looks. */
  async function keepListening(): Promise<void> {
    if (isStopping) return;
    try {
      await connection.run([{ text: 'SELECT 1', values: [] }]);
      tell({ type: 'decided', jobs: null });
      tell({ type: 'members' });
      if (!isHeard) await listenToOneself();
    } catch {
      clock.after(RELISTEN_MS, () => void keepListening());
    }
  }

  /** A pooler between gives every transaction another connection: LISTEN succeeds there, and nothing is ever heard. */
  async function listenToOneself(): Promise<void> {
    await send({ from: self });
    clock.after(ECHO_MS, () => {
      if (isHeard || isWarned || isStopping) return;
      isWarned = true;
      logger.warn(
        'notifications of the database do not arrive, so that gateways hear of each other up to a second late',
        {
          hint: 'is there a pooler between? set POSTERN_DATABASE_LISTEN_URL to the database itself',
        },
      );
    });
  }

  const send = (message: Message) => read('SELECT pg_notify($1, $2)', [CHANNEL, JSON.stringify(message)]);

  async function flush(): Promise<void> {
    if (isSending) return;
    isSending = true;
    while (!isStopping && (hasMemberNews || models.size + decided.length > 0)) {
      const message: Message = {
        from: self,
        ...(models.size > 0 ? { models: [...models].slice(0, MAX_NAMED_MODELS) } : {}),
        ...(decided.length > 0 ? { decided: decided.length > MAX_NAMED_JOBS ? true : decided } : {}),
        ...(hasMemberNews ? { members: true } : {}),
      };
      hasMemberNews = false;
      models = new Set([...models].slice(MAX_NAMED_MODELS));
      decided = [];
      // Lost: the others look.
      await send(message).catch(() => undefined);
    }
    isSending = false;
  }

  return {
    start(): void {
      void keepListening();
    },
    async stop(): Promise<void> {
      isStopping = true;
      await connection.stop();
    },
    waiting(names: Iterable<string>): void {
      for (const name of names) models.add(name);
      if (models.size > 0) void flush();
    },
    decided(jobs: readonly string[]): void {
      if (jobs.length === 0) return;
      if (decided.length <= MAX_NAMED_JOBS) decided.push(...jobs);
      void flush();
    },
    members(): void {
      hasMemberNews = true;
      void flush();
    },
    onHint(listener: (hint: StoreHint) => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
