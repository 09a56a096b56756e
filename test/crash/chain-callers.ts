/**
 * Callers of the chain, and what they were promised. One in three sends an `Idempotency-Key` and asks again until it is
 * answered; the others take no answer for no promise. Whatever was answered with an id is looked at again and again: it must
 * stay there, be decided once, and have the output that belongs to its input.
 */
import { createHash } from 'node:crypto';
import { createPromises, isDecided, type Prediction, type Promises } from './promises.ts';

export interface ChainCallers {
  /** How many predictions were answered with an id. */
  readonly accepted: number;
  readonly problems: readonly string[];
  /** Callers call until `stop`. */
  start(count: number): void;
  /** No more calls; resolves when the last one was answered or given up. */
  stop(): Promise<void>;
  /** Waits until everything is decided, and reads it all once more. */
  finish(): Promise<{ readonly succeeded: number; readonly exhausted: number; readonly keysAskedAgain: number }>;
}

const TYPE = 'application/octet-stream';
/** One call: longer than a gateway stands still in these tests. */
const CALL_TIMEOUT_MS = 60_000;
const RETRY_MS = 20;
/** Readers at the end. */
const READERS = 8;

/** What is sent for a number; every 10th is too large for a row of the store. */
function inputOf(n: number): Buffer {
  return Buffer.alloc(n % 10 === 0 ? 90_000 : 500, createHash('sha256').update(String(n)).digest());
}

const dataUrlOf = (n: number): string => `data:${TYPE};base64,${inputOf(n).toString('base64')}`;
const keyOf = (n: number): string | null => (n % 3 === 0 ? `key-${n}` : null);

/** One in twenty takes a while, so that something is under way whenever a worker is killed. */
function requestOf(n: number): RequestInit {
  const headers: Record<string, string> = {};
  const key = keyOf(n);
  if (key !== null) headers['Idempotency-Key'] = key;
  // One in four waits for the result; the others only for the promise.
  if (n % 4 === 0) headers.Prefer = 'wait=5';
  if (n % 20 !== 7) return { method: 'POST', headers: { ...headers, 'Content-Type': TYPE }, body: inputOf(n) };
  const body = JSON.stringify({ input: { file: dataUrlOf(n), delay_ms: 500 } });
  return { method: 'POST', headers: { ...headers, 'Content-Type': 'application/json' }, body };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export function createChainCallers(url: () => string): ChainCallers {
  /** By id: which number it was sent for. */
  const numbers = new Map<string, number>();
  const promises: Promises = createPromises();
  const { problems, look } = promises;
  const running: Promise<void>[] = [];
  let [next, isOver] = [0, false];

  /** Null when nobody answers, or not with a prediction: then nothing was promised. */
  async function ask(path: string, init: RequestInit = {}): Promise<Prediction | null> {
    try {
      const answer = await fetch(`${url()}${path}`, { ...init, signal: AbortSignal.timeout(CALL_TIMEOUT_MS) });
      if (answer.ok) return (await answer.json()) as Prediction;
      const text = await answer.text();
      // 404 is the answer that must never come for an id; 5xx and 429 promise nothing.
      if (answer.status === 404 && path.startsWith('/v1/predictions/')) promises.wrong(`${path}: ${text}`);
      return null;
    } catch {
      return null;
    }
  }

  const submit = (n: number): Promise<Prediction | null> => ask('/v1/models/local/echo/predictions', requestOf(n));

  function accept(n: number, made: Prediction): void {
    numbers.set(made.id, n);
    promises.accept(made, { key: keyOf(n), expected: () => dataUrlOf(n) });
  }

  async function caller(): Promise<void> {
    while (!isOver) {
      const n = (next += 1);
      let made = await submit(n);
      // Without a key the answer is lost for good; with one it is asked for until it comes.
      while (made === null && keyOf(n) !== null && !isOver) {
        await pause(RETRY_MS);
        made = await submit(n);
      }
      if (made === null) await pause(RETRY_MS);
      else accept(n, made);
    }
  }

  /** Reads what was accepted, round and round: what was read once is read again after other kills. */
  async function reader(): Promise<void> {
    while (!isOver) {
      for (const id of numbers.keys()) {
        if (isOver) return;
        const job = await ask(`/v1/predictions/${id}`);
        if (job === null) await pause(RETRY_MS);
        else look(job);
      }
      await pause(RETRY_MS);
    }
  }

  async function untilDecided(id: string): Promise<Prediction | null> {
    const until = performance.now() + CALL_TIMEOUT_MS;
    while (performance.now() < until) {
      const job = await ask(`/v1/predictions/${id}?wait=10`);
      if (job && isDecided(job)) return job;
      if (job === null) await pause(RETRY_MS);
    }
    return null;
  }

  return {
    get accepted() {
      return numbers.size;
    },
    problems,
    start(count) {
      for (let i = 0; i < count; i += 1) running.push(caller());
      running.push(reader());
    },
    async stop() {
      isOver = true;
      await Promise.all(running);
    },
    async finish() {
      let [succeeded, exhausted, keysAskedAgain] = [0, 0, 0];
      const left = numbers.entries();
      async function readSome(): Promise<void> {
        for (const [id, n] of left) {
          const job = await untilDecided(id);
          const end = promises.end(id, job);
          if (end === 'succeeded') succeeded += 1;
          else if (end === 'exhausted') exhausted += 1;
          if (job === null) continue;
          if (keyOf(n) === null) continue;
          const again = await submit(n);
          if (again === null) promises.wrong(`${keyOf(n)} was not answered at the end`);
          else accept(n, again);
          keysAskedAgain += 1;
        }
      }
      await Promise.all(Array.from({ length: READERS }, readSome));
      return { succeeded, exhausted, keysAskedAgain };
    },
  };
}
