/**
 * Callers of every kind, each on a connection of its own that it keeps: predictions that are not idempotent, polls, event streams,
 * uploads that take their time, requests that are recorded nowhere. Whatever fails is written down; nothing is ever tried again, but as the
 * protocol says (an event stream that is told to come back comes back).
 */
import { randomUUID } from 'node:crypto';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

export interface CallersOptions {
  readonly url: string;
  /** Callers that post as fast as they are answered. */
  readonly posting: number;
  /** The same, with pauses of up to `thinkMs`: their connections are idle when a switch comes. */
  readonly thinking: number;
  readonly thinkMs: number;
  readonly polling: number;
  readonly streaming: number;
  readonly uploading: number;
  /** `/v2/…/infer`. */
  readonly inferring: number;
}

export interface Tally {
  posted: number;
  thoughtful: number;
  polled: number;
  streamed: number;
  /** Times that a stream was told to come back. */
  comebacks: number;
  uploaded: number;
  inferred: number;
  readonly failures: string[];
  /** Every id that was handed out, with the output it must have. */
  readonly accepted: Map<string, string>;
}

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly message: IncomingMessage;
}

const MAX_FAILURES = 200;

export function createCallers(options: CallersOptions) {
  const { url } = options;
  const isTls = url.startsWith('https:');
  const tally: Tally = {
    posted: 0,
    thoughtful: 0,
    polled: 0,
    streamed: 0,
    comebacks: 0,
    uploaded: 0,
    inferred: 0,
    failures: [],
    accepted: new Map(),
  };
  const agents: Agent[] = [];
  let isEnding = false;

  function agent(): Agent {
    // Node does not use a connection in its last second of the time that the server allows it; that is all the care there is.
    const made = isTls
      ? new HttpsAgent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false })
      : new Agent({ keepAlive: true, maxSockets: 1 });
    agents.push(made);
    return made;
  }

  interface Sent {
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string | ((write: (part: Buffer) => void) => Promise<void>);
    readonly onText?: (text: string) => void;
  }

  function send(using: Agent, path: string, { method = 'POST', headers = {}, body, onText }: Sent): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const length = typeof body === 'string' ? { 'content-length': String(Buffer.byteLength(body)) } : {};
      const sent = (isTls ? httpsRequest : httpRequest)(new URL(path, url), {
        method,
        agent: using,
        headers: { ...headers, ...length },
      });
      sent.once('error', reject);
      sent.once('response', (message) => {
        let text = '';
        message.setEncoding('utf8');
        message.on('data', (part: string) => {
          text += part;
          onText?.(part);
        });
        message.once('error', reject);
        message.once('end', () => resolve({ status: message.statusCode ?? 0, text, message }));
      });
      if (typeof body === 'function') {
        body((part) => sent.write(part)).then(() => sent.end(), reject);
      } else sent.end(body);
    });
  }

  function failed(what: string, why: unknown): void {
    if (tally.failures.length < MAX_FAILURES) {
      const error = why as NodeJS.ErrnoException;
      tally.failures.push(`${what}: ${why instanceof Error ? `${error.code ?? ''} ${error.message}` : String(why)}`);
    }
  }

  /** Repeats one kind of call until the end; a failure is written down and does not end it. */
  async function repeat(what: string, call: () => Promise<void>): Promise<void> {
    while (!isEnding) {
      try {
        await call();
      } catch (error) {
        failed(what, error);
        await pause(20);
      }
    }
  }

  const PREDICTIONS = '/v1/models/local/echo/predictions';
  const textOf = (): string => `rose ${randomUUID()}`;
  const bodyOf = (text: string, parameters: object = {}): string =>
    JSON.stringify({ input: { file: `data:text/plain,${encodeURIComponent(text)}`, ...parameters } });

  function accepted(reply: Reply, text: string): string {
    if (reply.status !== 201 && reply.status !== 202) throw new Error(`${reply.status} ${reply.text.slice(0, 300)}`);
    const { id } = JSON.parse(reply.text) as { id: string };
    tally.accepted.set(id, text);
    return id;
  }

  async function post(using: Agent): Promise<void> {
    const text = textOf();
    const headers = { 'content-type': 'application/json', prefer: 'wait=30' };
    const reply = await send(using, PREDICTIONS, { headers, body: bodyOf(text) });
    accepted(reply, text);
    const { status, output } = JSON.parse(reply.text) as { status: string; output: unknown };
    if (status !== 'succeeded' || output !== text) throw new Error(`waited and got ${status}`);
  }

  async function poll(using: Agent): Promise<void> {
    const text = textOf();
    const body = bodyOf(text, { delay_ms: 300 });
    const headers = { 'content-type': 'application/json' };
    const id = accepted(await send(using, PREDICTIONS, { headers, body }), text);
    for (;;) {
      const reply = await send(using, `/v1/predictions/${id}?wait=20`, { method: 'GET' });
      if (reply.status !== 200) throw new Error(`a poll was answered by ${reply.status} ${reply.text.slice(0, 200)}`);
      const { status } = JSON.parse(reply.text) as { status: string };
      if (status === 'succeeded') break;
      if (status !== 'starting' && status !== 'processing') throw new Error(`a job ended ${status}`);
    }
    tally.polled += 1;
  }

  /** Reads to the end, coming back with the id of the last event whenever the stream ends before. */
  async function stream(using: Agent): Promise<void> {
    const text = textOf();
    const body = bodyOf(text, { chunk_bytes: 4, delay_ms: 120 });
    const headers = { 'content-type': 'application/json' };
    const id = accepted(await send(using, PREDICTIONS, { headers, body }), text);
    let lastId: string | null = null;
    let output = '';
    for (let visits = 0; visits < 50; visits += 1) {
      let isDone = false;
      let rest = '';
      const from: Record<string, string> = lastId === null ? {} : { 'last-event-id': lastId };
      const reply = await send(using, `/v1/predictions/${id}/stream`, {
        method: 'GET',
        headers: from,
        onText(part) {
          const events = (rest + part).split('\n\n');
          rest = events.pop() ?? '';
          for (const event of events) {
            const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'm').exec(event)?.[1];
            lastId = field('id') ?? lastId;
            if (field('event') === 'output') output += field('data') ?? '';
            if (field('event') === 'done') isDone = true;
          }
        },
      });
      if (reply.status === 204) break;
      if (reply.status !== 200) throw new Error(`a stream was answered by ${reply.status} ${reply.text.slice(0, 200)}`);
      if (isDone) {
        if (output !== text) throw new Error(`a stream told ${JSON.stringify(output)} for ${JSON.stringify(text)}`);
        tally.streamed += 1;
        return;
      }
      tally.comebacks += 1;
      await pause(250);
    }
    throw new Error('a stream had no end');
  }

  async function upload(using: Agent): Promise<void> {
    const text = textOf();
    const reply = await send(using, PREDICTIONS, {
      headers: { 'content-type': 'application/json', prefer: 'wait=30' },
      async body(write) {
        const bytes = Buffer.from(bodyOf(text));
        for (let at = 0; at < bytes.length; at += 3) {
          write(bytes.subarray(at, at + 3));
          await pause(80);
        }
      },
    });
    accepted(reply, text);
    tally.uploaded += 1;
  }

  async function infer(using: Agent): Promise<void> {
    const text = textOf();
    const body = JSON.stringify({ inputs: [{ name: 'input', shape: [1], datatype: 'BYTES', data: [text] }] });
    const headers = { 'content-type': 'application/json' };
    const reply = await send(using, '/v2/models/echo/infer', { headers, body });
    if (reply.status !== 200) throw new Error(`${reply.status} ${reply.text.slice(0, 300)}`);
    tally.inferred += 1;
  }

  const running: Promise<void>[] = [];
  /** What goes on, for whoever asks why it does not end. */
  const underWay = new Map<Agent, string>();
  const begin = (count: number, what: string, call: (using: Agent) => Promise<void>): void => {
    for (let index = 0; index < count; index += 1) {
      const using = agent();
      const counted = async (): Promise<void> => {
        underWay.set(using, what);
        await call(using);
        underWay.delete(using);
      };
      running.push(repeat(what, counted));
    }
  };

  return {
    tally,
    start(): void {
      begin(options.posting, 'POST', async (using) => {
        await post(using);
        tally.posted += 1;
      });
      begin(options.thinking, 'POST after a pause', async (using) => {
        await post(using);
        tally.thoughtful += 1;
        await pause(Math.random() * options.thinkMs);
      });
      begin(options.polling, 'poll', poll);
      begin(options.streaming, 'stream', stream);
      begin(options.uploading, 'upload', upload);
      begin(options.inferring, 'infer', infer);
    },
    underWay: (): string[] => [...underWay.values()],
    /** Lets every caller finish what it does. */
    async end(): Promise<void> {
      isEnding = true;
      await Promise.all(running);
    },
    /** They stop where they are: the test has failed, and nothing else is to be learnt from them. */
    abandon(): void {
      isEnding = true;
      for (const one of agents) one.destroy();
    },
    /** Reads every id that was handed out; gives what is wrong with any. */
    async audit(): Promise<string[]> {
      const problems: string[] = [];
      const left = tally.accepted.entries();
      const read = async (using: Agent): Promise<void> => {
        for (const [id, text] of left) {
          const reply = await send(using, `/v1/predictions/${id}?wait=30`, { method: 'GET' });
          const { status, output } = JSON.parse(reply.text) as { status?: string; output?: unknown };
          if (status === 'succeeded' && wordsOf(output) === text) continue;
          problems.push(`${id} is ${reply.status} ${status}: ${JSON.stringify(output)?.slice(0, 80)}`);
        }
      };
      await Promise.all(Array.from({ length: 16 }, () => read(agent())));
      for (const one of agents) one.destroy();
      return problems;
    },
  };
}

/** An output that came in parts is a list of them. */
const wordsOf = (output: unknown): string => (Array.isArray(output) ? output.join('') : String(output));
