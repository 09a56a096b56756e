/**
 * The whole chain in real processes, gateway and worker, either or both killed at random moments while callers submit. Every
 * prediction that was answered with an id must be decided in the end, once, and with the output that belongs to its input.
 */
import { createHash } from 'node:crypto';
import { PosternSystem, untilModel, type Gateway, type Process } from '../support/postern.ts';

export interface ChainOptions {
  readonly kills: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly callers: number;
  readonly onKill?: (kill: number, accepted: number) => void;
}

export interface ChainResult {
  readonly kills: number;
  readonly accepted: number;
  readonly succeeded: number;
  /** Every attempt was interrupted by a kill: decided, though not as the caller hoped. */
  readonly exhausted: number;
  readonly problems: string[];
}

interface Prediction {
  readonly id: string;
  readonly status: string;
  readonly output: string | null;
  readonly error_code: string | null;
  readonly completed_at: string | null;
}

const TYPE = 'application/octet-stream';
const DECIDED = new Set(['succeeded', 'failed', 'canceled', 'aborted']);

/** What is sent for a number; every 10th is too large for a row of the store. */
function inputOf(n: number): Buffer {
  return Buffer.alloc(n % 10 === 0 ? 90_000 : 500, createHash('sha256').update(String(n)).digest());
}

export async function chain({ kills, random, callers, onKill }: ChainOptions): Promise<ChainResult> {
  const system = new PosternSystem({ env: { POSTERN_STORE: 'sqlite', POSTERN_LOG_LEVEL: 'warn' } });
  const inputs = new Map<string, number>();
  const seen = new Map<string, string>();
  const problems: string[] = [];
  try {
    let gateway: Gateway = await system.gateway();
    const identity = system.issue('gpu');
    let worker: Process = system.worker(gateway, identity);
    await untilModel(gateway.url, 'echo');
    const { url } = gateway;
    let next = 0;
    let isOver = false;

    /** Null when nobody answers, or not with a prediction: then nothing was promised. */
    async function ask(path: string, init: RequestInit = {}): Promise<Prediction | null> {
      try {
        const answer = await fetch(`${url}${path}`, { ...init, signal: AbortSignal.timeout(60_000) });
        return answer.ok ? ((await answer.json()) as Prediction) : null;
      } catch {
        return null;
      }
    }

    function look({ id, status, output, completed_at: at }: Prediction): void {
      if (!DECIDED.has(status)) return;
      const now = `${status} at ${at} with ${output === null ? 'nothing' : createHash('sha256').update(output).digest('hex')}`;
      const before = seen.get(id);
      if (before !== undefined && before !== now) problems.push(`${id} was read as ${before}, and then as ${now}`);
      seen.set(id, now);
    }

    async function caller(): Promise<void> {
      while (!isOver) {
        const n = (next += 1);
        // One in four waits for the result; the others only for the promise.
        const headers: Record<string, string> = { 'Content-Type': TYPE };
        if (n % 4 === 0) headers.Prefer = 'wait=5';
        const made = await ask('/v1/models/local/echo/predictions', { method: 'POST', headers, body: inputOf(n) });
        if (made === null) {
          await new Promise((resolve) => setTimeout(resolve, 20));
          continue;
        }
        inputs.set(made.id, n);
        look(made);
      }
    }

    const running = Promise.all(Array.from({ length: callers }, caller));
    for (let kill = 1; kill <= kills; kill += 1) {
      await new Promise((resolve) => setTimeout(resolve, random() * 1_500));
      const which = random();
      if (which < 0.7) await gateway.kill();
      if (which > 0.4) await worker.kill();
      if (which < 0.7) gateway = await system.gateway(gateway);
      if (which > 0.4) worker = system.worker(gateway, identity);
      await untilModel(url, 'echo');
      onKill?.(kill, inputs.size);
    }
    isOver = true;
    await running;

    let [succeeded, exhausted] = [0, 0];
    for (const [id, n] of inputs) {
      const job = await untilDecided(ask, id);
      if (job === null) problems.push(`${id} was accepted and is lost, or was never decided`);
      else {
        look(job);
        if (job.status === 'succeeded') {
          succeeded += 1;
          const wanted = `data:${TYPE};base64,${inputOf(n).toString('base64')}`;
          if (job.output !== wanted) problems.push(`${id} has another output`);
        } else if (job.error_code === 'attempts_exhausted') exhausted += 1;
        else problems.push(`${id} is ${job.status}: ${job.error_code}`);
      }
    }
    return { kills, accepted: inputs.size, succeeded, exhausted, problems };
  } finally {
    await system.remove();
  }
}

async function untilDecided(ask: (path: string) => Promise<Prediction | null>, id: string): Promise<Prediction | null> {
  const until = performance.now() + 60_000;
  while (performance.now() < until) {
    const job = await ask(`/v1/predictions/${id}?wait=10`);
    if (job === null || DECIDED.has(job.status)) return job;
  }
  return null;
}
