/**
 * Callers of every kind, through the load balancer. They do what HTTP allows and no more (`rule`): a request that carries an
 * `Idempotency-Key` and every GET is sent again, anything else only where it was not taken. Each answer is counted by kind and outcome;
 * what no caller deserves is a problem.
 */
import type { Agent } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { createPromises, isDecided, type Prediction, type Promises } from '../crash/promises.ts';
import { openAgent, rule, send, type Outcome, type Ruling, type Sent } from './http.ts';
import { readStream } from './stream.ts';

export interface CallersOptions {
  readonly url: string;
  readonly apiKey: string;
  /** Where webhooks go. */
  readonly webhook: string;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** How many of each kind; more fill the machine and not the gaps. */
  readonly ofEach: number;
}

export interface Callers {
  readonly promises: Promises;
  /** By `<kind> <outcome>`. */
  readonly counts: Readonly<Record<string, number>>;
  /** Ids that are to be told to the webhook. */
  readonly told: ReadonlySet<string>;
  /** Something succeeded: called with what. */
  onSuccess: (kind: string) => void;
  start(): void;
  /** No new work; resolves when what is under way is over or given up. */
  stop(): Promise<void>;
  submit(kind: string, n: number, input: object, headers?: Readonly<Record<string, string>>): Promise<string | null>;
  /** Reads what was promised once more, and sends every key again. */
  finish(): Promise<{ readonly succeeded: number; readonly exhausted: number; readonly keysAskedAgain: number }>;
}

const MODEL = '/v1/models/local/echo/predictions';
const SILENCE_MS = 15_000;
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 1_000;
/** Longer than any fault, a lease and a restart together. */
const MAX_CALL_MS = 120_000;
/** Between two calls, at most: a run looks for faults and not for speed, and reads everything again at its end. */
const THINK_MS = 200;
const READERS = 8;
const CHUNK_BYTES = 6;
const CHUNKS = 30;

export function createCallers({ url, apiKey, webhook, random, ofEach }: CallersOptions): Callers {
  const promises = createPromises();
  const counts: Record<string, number> = {};
  const told = new Set<string>();
  const agents: Agent[] = [];
  const running: Promise<void>[] = [];
  let [isOver, last] = [false, 0];

  const count = (what: string): void => void (counts[what] = (counts[what] ?? 0) + 1);

  function agent(): Agent {
    const made = openAgent();
    agents.push(made);
    return made;
  }

  function describe(outcome: Outcome): string {
    if (outcome.type === 'refused') return 'connection refused';
    if (outcome.type === 'broken') return `broken: ${outcome.why}`;
    const code = outcome.status < 300 ? null : /"code": ?"([a-z_]+)"/.exec(outcome.text)?.[1];
    return code === undefined
      ? `${outcome.status} of the balancer`
      : `${outcome.status}${code === null ? '' : ` ${code}`}`;
  }

  /** Sent once, counted, and judged. */
  async function once(kind: string, using: Agent, path: string, sent: Sent): Promise<[Ruling, Outcome]> {
    const isIdempotent = sent.method !== 'POST' || sent.headers?.['idempotency-key'] !== undefined;
    const headers = { authorization: `Bearer ${apiKey}`, ...sent.headers };
    const outcome = await send(url, using, path, { ...sent, headers });
    const ruling = rule(outcome, isIdempotent);
    count(`${kind} ${ruling}: ${describe(outcome)}`);
    if (ruling === 'done') callers.onSuccess(kind);
    if (ruling === 'wrong' && outcome.type === 'answered') {
      promises.wrong(`${kind}: ${path} was answered ${outcome.status} ${outcome.text.slice(0, 300)}`);
    }
    return [ruling, outcome];
  }

  const askedMs = (outcome: Outcome): number => (outcome.type === 'answered' ? (outcome.retryAfterMs ?? 0) : 0);

  /** One call, sent again as long as that is allowed. Null: given up, and nothing is promised. */
  async function call(kind: string, using: Agent, path: string, sent: Omit<Sent, 'silenceMs'>): Promise<string | null> {
    const until = performance.now() + MAX_CALL_MS;
    for (let waitMs = FIRST_RETRY_MS; performance.now() < until; waitMs = Math.min(2 * waitMs, MAX_RETRY_MS)) {
      const [ruling, outcome] = await once(kind, using, path, { ...sent, silenceMs: SILENCE_MS });
      if (ruling !== 'again') return ruling === 'done' && outcome.type === 'answered' ? outcome.text : null;
      await pause(Math.max(askedMs(outcome), waitMs * (0.5 + random())));
    }
    promises.wrong(`${kind}: ${path} got no answer in ${MAX_CALL_MS} ms`);
    return null;
  }

  const textOf = (n: number): string => `text ${n} `.repeat(4);
  const inputOf = (text: string, more: object = {}): object => ({
    file: `data:text/plain,${encodeURIComponent(text)}`,
    ...more,
  });
  const json = { 'content-type': 'application/json' };

  interface Submission {
    readonly text: string;
    readonly body: string;
    readonly key: string | null;
    readonly headers: Readonly<Record<string, string>>;
  }
  /** By id, to send it again at the end. */
  const submissions = new Map<string, Submission>();

  /** An output is told as it is kept: if it was changed, all of the answer may be no JSON. */
  function parsed(kind: string, answer: string): Prediction | null {
    try {
      return JSON.parse(answer) as Prediction;
    } catch {
      promises.wrong(`${kind}: the answer is no JSON: ${answer.slice(0, 300)}`);
      return null;
    }
  }

  async function post(kind: string, using: Agent, submission: Submission): Promise<Prediction | null> {
    const { text, body, key } = submission;
    const headers = { ...json, ...submission.headers, ...(key === null ? {} : { 'idempotency-key': key }) };
    const answer = await call(kind, using, MODEL, { method: 'POST', headers, body });
    const made = answer === null ? null : parsed(kind, answer);
    if (made === null) return null;
    submissions.set(made.id, submission);
    promises.accept(made, { key, expected: () => text });
    return made;
  }

  async function read(kind: string, using: Agent, id: string, query = ''): Promise<Prediction | null> {
    const wasKnown = promises.isKnown(id);
    const answer = await call(kind, using, `/v1/predictions/${id}${query}`, {});
    const prediction = answer === null ? null : parsed(kind, answer);
    if (prediction === null) return null;
    promises.look(prediction, wasKnown);
    return prediction;
  }

  async function untilDecided(kind: string, using: Agent, id: string): Promise<Prediction | null> {
    const until = performance.now() + MAX_CALL_MS;
    while (performance.now() < until) {
      const seen = await read(kind, using, id, '?wait=5');
      if (seen === null || isDecided(seen)) return seen;
    }
    return null;
  }

  // ---- the kinds -------------------------------------------------------------------------------------------------------

  /** Some take a while, so that something is under way at every moment. */
  const slowness = (): object => (random() < 0.25 ? { delay_ms: 200 + Math.floor(random() * 2_000) } : {});
  const submissionOf = (kind: string, n: number, more: object = {}, hasKey = true): Submission => {
    const text = textOf(n);
    const body = JSON.stringify({ input: inputOf(text, more) });
    return { text, body, key: hasKey ? `${kind}-${n}` : null, headers: {} };
  };

  const kinds: Readonly<Record<string, (using: Agent, n: number) => Promise<void>>> = {
    async waiting(using, n) {
      const submission = submissionOf('waiting', n, slowness());
      const made = await post('waiting', using, { ...submission, headers: { prefer: 'wait=5' } });
      if (made && !isDecided(made)) await untilDecided('waiting', using, made.id);
    },
    async polling(using, n) {
      const made = await post('polling', using, submissionOf('polling', n, slowness()));
      if (made) await untilDecided('polling', using, made.id);
    },
    /** Without a key: an answer that is lost is lost. */
    async plain(using, n) {
      const made = await post('plain', using, submissionOf('plain', n, slowness(), false));
      if (made) await untilDecided('plain', using, made.id);
    },
    async told(using, n) {
      const text = textOf(n);
      const hook = { webhook, webhook_events_filter: ['completed'] };
      const body = JSON.stringify({ input: inputOf(text, slowness()), ...hook });
      const made = await post('told', using, { text, body, key: `told-${n}`, headers: {} });
      if (made) told.add(made.id);
    },
    async streaming(using, n) {
      const text = Array.from(
        { length: CHUNKS },
        (_, at) => `${String((n * CHUNKS + at) % 10_000).padStart(5, '0')} `,
      ).join('');
      const more = { chunk_bytes: CHUNK_BYTES, delay_ms: 60 };
      const body = JSON.stringify({ input: inputOf(text, more) });
      const made = await post('streaming', using, { text, body, key: `streaming-${n}`, headers: {} });
      if (made === null) return;
      await readStream({
        text,
        wrong: (what) => promises.wrong(`${made.id}: ${what}`),
        count: (what) => count(`streaming ${what}`),
        async visit(headers, onText) {
          const path = `/v1/predictions/${made.id}/stream`;
          const [ruling, outcome] = await once('stream', using, path, { headers, onText, silenceMs: 2 * SILENCE_MS });
          if (ruling === 'again') await pause(askedMs(outcome));
          return { isGivenUp: ruling === 'wrong', isOver: outcome.type === 'answered' && outcome.status === 204 };
        },
      });
    },
    /** Recorded nowhere: it is sent again only where it was not taken. */
    async inferring(using, n) {
      const data = [textOf(n)];
      const body = JSON.stringify({ inputs: [{ name: 'input', shape: [1], datatype: 'BYTES', data }] });
      const answer = await call('inferring', using, '/v2/models/echo/infer', { method: 'POST', headers: json, body });
      if (answer && !answer.includes(data[0]!)) promises.wrong(`/v2 answered ${answer.slice(0, 200)}`);
    },
    /** Reads what others were promised, round and round: what was read once is read again after other faults. */
    async reading(using) {
      for (const id of promises.made.keys()) {
        if (isOver) return;
        await read('reading', using, id);
        await pause(20);
      }
    },
  };

  async function repeat(work: (using: Agent, n: number) => Promise<void>): Promise<void> {
    const using = agent();
    while (!isOver) {
      await work(using, (last += 1));
      await pause(random() * THINK_MS);
    }
  }

  const callers: Callers = {
    promises,
    counts,
    told,
    onSuccess: () => undefined,
    start() {
      for (const work of Object.values(kinds)) for (let n = 0; n < ofEach; n += 1) running.push(repeat(work));
    },
    async stop() {
      isOver = true;
      await Promise.all(running);
    },
    async submit(kind, n, input, headers = {}) {
      const submission = submissionOf(kind, n, input);
      return (await post(kind, agent(), { ...submission, headers }))?.id ?? null;
    },
    async finish() {
      let [succeeded, exhausted, keysAskedAgain] = [0, 0, 0];
      // As many as there are now: where a key is not remembered, each that is sent again would make another one.
      const left = [...promises.made].values();
      async function readSome(): Promise<void> {
        const using = agent();
        for (const [id, { key }] of left) {
          const end = promises.end(id, await untilDecided('at the end', using, id));
          if (end === 'succeeded') succeeded += 1;
          if (end === 'exhausted') exhausted += 1;
          if (key === null || end === 'wrong') continue;
          await post('at the end', using, submissions.get(id)!);
          keysAskedAgain += 1;
        }
      }
      await Promise.all(Array.from({ length: READERS }, readSome));
      for (const one of agents) one.destroy();
      return { succeeded, exhausted, keysAskedAgain };
    },
  };
  return callers;
}
