/** The checks of the callers' way: the HTTP API, the workers behind it, and a job through one of them. */
import { randomBytes } from 'node:crypto';
import { systemClock } from '../../clock.ts';
import { PosternError, toPosternError } from '../../errors.ts';
import type { Client } from '../../client/client.ts';
import { percentile } from '../percentile.ts';
import type { Finding, Step } from './check.ts';

const ECHO_MODEL = 'echo';
const ECHO_JOBS = 5;
const ECHO_BYTES = 1024;
const ECHO_MS = 15_000;

export function httpSteps(client: Client, url: string): Step[] {
  return [
    {
      name: 'http',
      async run() {
        const startedAt = systemClock.monotonic();
        const models = await client.models().catch((error: unknown) => toPosternError(error));
        if (models instanceof PosternError) {
          const advice = 'start the gateway, or name its API with --gateway';
          return { verdict: 'fail', detail: models.message, advice };
        }
        const tookMs = systemClock.monotonic() - startedAt;
        const ready = models.filter(({ state }) => state === 'ready').map(({ name }) => name);
        const detail = `${url} answered in ${tookMs.toFixed(0)} ms; ready: ${ready.join(', ') || 'no model'}`;
        const figures = { took_ms: tookMs, ready_models: ready.length };
        const local = (await client.ready().catch(() => null))?.local ?? [];
        if (local.length > 0) {
          const advice =
            'with several gateways set BLOB_URL, and copy identity/webhook-keys.json where another authority’s certificates are used (docs/scaling.md)';
          const what = `on that machine alone, although it has a database: ${local.join(', ')}`;
          return { verdict: 'warn', detail: `${detail}; ${what}`, figures, advice };
        }
        if (ready.length > 0) return { verdict: 'ok', detail, figures };
        return {
          verdict: 'warn',
          detail,
          figures,
          advice: 'start a worker, and look at its log for models that failed to load',
        };
      },
    },
    {
      name: 'workers',
      async run() {
        const workers = await client.workers();
        const connected = workers.filter(({ state }) => state === 'connected');
        if (connected.length === 0) {
          const advice = 'start one with `postern worker`, and run `postern doctor` on its machine';
          return { verdict: 'fail', detail: 'no worker is connected', advice };
        }
        const failed = workers.flatMap(({ models }) => models).filter(({ state }) => state === 'failed');
        const detail = connected.map(({ name, address }) => `${name} from ${address}`).join(', ');
        const [first] = failed;
        if (first === undefined) return { verdict: 'ok', detail };
        return {
          verdict: 'warn',
          detail: `${detail}; ${first.name}/${first.version} failed`,
          advice: first.message ?? 'look at the worker’s log',
        };
      },
    },
    { name: 'echo job', run: () => runEcho(client) },
  ];
}

async function runEcho(client: Client): Promise<Finding> {
  const models = await client.models();
  if (!models.some(({ name, state }) => name === ECHO_MODEL && state === 'ready')) {
    return {
      verdict: 'skip',
      detail: `no worker serves the model ${ECHO_MODEL}`,
      advice: 'put models/echo into the worker’s model repository',
    };
  }
  const timesMs: number[] = [];
  for (let i = 0; i < ECHO_JOBS; i += 1) {
    const input = randomBytes(ECHO_BYTES);
    const startedAt = systemClock.monotonic();
    const { status, output, error } = await client.run(ECHO_MODEL, new Uint8Array(input), { timeoutMs: ECHO_MS });
    timesMs.push(systemClock.monotonic() - startedAt);
    if (status !== 'succeeded')
      return { verdict: 'fail', detail: `a job ended as ${status}`, advice: error ?? 'look at the logs' };
    if (typeof output !== 'string' || !output.endsWith(input.toString('base64'))) {
      return {
        verdict: 'fail',
        detail: 'the echo is not what was sent',
        advice: 'please report this: it must never happen',
      };
    }
  }
  const median = percentile(timesMs, 0.5);
  return {
    verdict: 'ok',
    detail: `${ECHO_BYTES} random bytes came back in ${median.toFixed(1)} ms (median of ${ECHO_JOBS})`,
    figures: { median_ms: median },
  };
}
