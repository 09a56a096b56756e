/**
 * Model-based: the memory driver is the model. Both drivers get the same random calls at the same times and must give the same
 * answers, whatever the order of submits, claims, late results, cancels, releases, sweeps and jumps of the clock. A seed
 * replays exactly: POSTERN_TEST_SEED=<seed>.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { createManualClock } from '../../../test/support/manual-clock.ts';
import { createRandom, type Random } from '../../../test/support/random.ts';
import type { DeliveryEnd } from '../../dispatch/delivery.ts';
import type { Fence, Job, NewJob, Outcome } from '../../dispatch/job.ts';
import { createMemoryStore } from '../memory.ts';
import type { DeliveryClaim } from '../deliveries.ts';
import type { Store, SubmittedJob } from '../store.ts';
import type { StoreSuiteOptions } from './bench.suite.ts';

const SEEDS = process.env.POSTERN_TEST_SEED
  ? [Number(process.env.POSTERN_TEST_SEED)]
  : Array.from({ length: 12 }, () => Math.floor(Math.random() * 1e9));
const CALLS = 250;
const LEASE_MS = 18_000;
const LIMITS = {
  queueLimitJobs: 25,
  maxAttempts: 3,
  waitTtlMs: 120_000,
  resultTtlMs: 60_000,
  idempotencyTtlMs: 150_000,
  modelTtlMs: 90_000,
};
const LOSSES = ['free', 'silent', 'crashed'] as const;
const EVENTS = [['start'], ['completed'], ['start', 'completed']] as const;
const TIMINGS = { queueMs: 1, linkMs: 2, workerQueueMs: 3, decodeMs: 4, batchMs: 5, computeMs: 6 };

/** What an answer says, without what the port leaves open: inputs outside of a claim, and the order of what ended at once. */
function plain(answer: unknown, keepsInput = false): unknown {
  if (Array.isArray(answer)) return answer.map((one) => plain(one, keepsInput));
  if (answer instanceof Map) return [...(answer as Map<string, unknown>)].sort(([a], [b]) => (a < b ? -1 : 1));
  if (answer instanceof Uint8Array) return Buffer.from(answer).toString('latin1');
  if (answer instanceof Error) return { code: (answer as { code?: string }).code, message: answer.message };
  if (answer === null || typeof answer !== 'object') return answer;
  const entries = Object.entries(answer).map(([key, value]): [string, unknown] => {
    if (key === 'input' && !keepsInput) return [key, (value as NewJob['input']).contentType];
    return [key, plain(value, keepsInput)];
  });
  return Object.fromEntries(entries);
}

const byId = (jobs: readonly Job[]): Job[] => [...jobs].sort((a, b) => (a.id < b.id ? -1 : 1));

/** One random call, ready to be made on either store. */
function nextCall(
  random: Random,
  known: Job[],
  state: { jobs: number },
  now: number,
): [name: string, call: (store: Store) => Promise<unknown>] {
  const session = (): string => `s${random.int(1, 3)}`;
  const fence = (): Fence => {
    const one = random.pick(known);
    const isExact = random.chance(0.85);
    return {
      job: one.id,
      attempt: isExact ? one.attempt : random.int(1, 3),
      session: isExact ? (one.session ?? 's1') : session(),
    };
  };
  const dice = known.length === 0 ? 0 : random.int(0, 99);
  if (dice < 30) {
    const given = Array.from({ length: random.int(1, 3) }, () => newJob(random, (state.jobs += 1), now));
    return ['submit', (store) => store.submit(given)];
  }
  if (dice < 52) {
    const maxRows = random.int(1, 6);
    const request = {
      session: session(),
      worker: 'gpu',
      model: random.pick(['plants', 'clothes']),
      version: random.pick(['1', '2']),
      maxRows,
      capacityRows: maxRows + random.int(0, 3),
      leaseMs: LEASE_MS,
      solo: random.chance(0.3),
    };
    return ['claim', (store) => store.claim([request])];
  }
  if (dice < 72) {
    const ends = Array.from({ length: random.int(1, 3) }, () => ({ fence: fence(), outcome: newOutcome(random) }));
    return ['settle', (store) => store.settle(ends)];
  }
  if (dice < 76) {
    const updates = [{ fence: fence(), fraction: random.chance(0.5) ? 0.5 : null, message: 'on its way' }];
    return ['progress', (store) => store.progress(updates)];
  }
  const { id } = random.pick(known);
  if (dice < 80) return ['cancel', (store) => store.cancel(id)];
  if (dice < 84) {
    const which = session();
    return ['heartbeat', async (store) => (await store.heartbeat(which, LEASE_MS)).toSorted()];
  }
  if (dice < 86) {
    const [which, loss] = [session(), random.pick(LOSSES)];
    return ['release', async (store) => byId(await store.release(which, loss))];
  }
  if (dice < 88) {
    const which = session();
    const held = known.filter(() => random.chance(0.5)).map((one) => [one.id, one.attempt] as const);
    return [
      'reconcile',
      async (store) => {
        const { kept, lost } = await store.reconcile(which, held);
        return { kept: byId(kept), lost: byId(lost) };
      },
    ];
  }
  if (dice < 92) {
    return [
      'sweep',
      async (store) => {
        const { reclaimed, expired, forgotten } = await store.sweep(10_000);
        return { reclaimed: byId(reclaimed), expired: byId(expired), forgotten };
      },
    ];
  }
  if (dice < 93) {
    if (random.chance(0.3)) return ['failedInput', (store) => store.failedInput(id)];
    if (random.chance(0.5)) {
      const dropped = known.filter(() => random.chance(0.3)).map((one) => one.id);
      return ['dropFailedInputs', async (store) => (await store.dropFailedInputs(dropped)).toSorted()];
    }
    return ['deliveries', (store) => store.deliveries.ofJob(id)];
  }
  if (dice < 94) {
    const salt = random.next();
    // A host has room for all or for none: which of those that ended at once would be first is left open by the port.
    const inFlight = new Map([['b.test', salt < 0.5 ? 0 : 1_000]]);
    const claim = { limit: 1_000, perHost: 1_000, inFlight, leaseMs: 20_000 };
    return ['deliver', (store) => deliver(store, claim, salt)];
  }
  if (dice < 94) return ['queuePosition', (store) => store.queuePosition(id)];
  if (dice < 95) {
    const asked = known.filter(() => random.chance(0.5)).map((one) => one.id);
    return ['decidedAmong', async (store) => (await store.decidedAmong(asked)).toSorted()];
  }
  if (dice < 96) {
    const models = ['plants', 'clothes', 'birds']
      .filter(() => random.chance(0.5))
      .map((name) => {
        return { name, report: `"${random.int(1, 9)}"`, versions: ['1'], lastSeenAt: now - random.int(0, 40_000) };
      });
    return [
      'rememberModels',
      async (store) => {
        await store.rememberModels(models);
        return store.knownModels();
      },
    ];
  }
  if (dice < 97) return ['counts', (store) => store.counts()];
  const limit = random.chance(0.5) ? 3 : 100;
  const status = random.chance(0.5) ? ('succeeded' as const) : undefined;
  const caller = random.chance(0.5) ? random.pick(['anna', 'ben']) : undefined;
  const filter = { ...(status ? { status } : {}), ...(caller ? { caller } : {}) };
  return ['list', (store) => store.list({ limit, cursor: null, ...filter })];
}

/** Claims all that is due and ends it, each as its name and `salt` say: the drivers may give them in another order. */
async function deliver(store: Store, claim: DeliveryClaim, salt: number): Promise<unknown> {
  const claimed = (await store.deliveries.claim(claim)).sort((a, b) => (a.id < b.id ? -1 : 1));
  const ends = claimed.map(({ id, attempt, createdAt }): DeliveryEnd => {
    const draw = (createHash('sha256').update(`${id}${salt}`).digest()[0] ?? 0) % 3;
    const reason = 'no answer';
    if (draw === 0) return { id, attempt, outcome: { type: 'delivered', answer: 200 } };
    if (draw === 1) return { id, attempt, outcome: { type: 'failed', answer: null, reason } };
    return { id, attempt, outcome: { type: 'retry', dueAt: createdAt + 200_000, answer: 500, reason } };
  });
  return { claimed, ended: await store.deliveries.end(ends), pending: await store.deliveries.pending() };
}

function newJob(random: Random, number: number, now: number): SubmittedJob {
  return {
    id: `job-${String(number).padStart(5, '0')}`,
    model: random.pick(['plants', 'plants', 'clothes']),
    version: random.chance(0.2) ? random.pick(['1', '2']) : null,
    input: { contentType: 'text/plain', bytes: Buffer.from(random.pick(['rose', 'tulip'])) },
    parameters: random.chance(0.5) ? {} : { top_k: random.int(1, 2) },
    rows: random.chance(0.8) ? 1 : random.int(2, 5),
    priority: random.chance(0.7) ? 0 : random.int(-2, 2),
    caller: random.pick(['anna', 'ben', 'cleo']),
    maxUndecidedJobs: random.chance(0.2) ? random.int(1, 8) : null,
    deadlineAt: random.chance(0.2) ? now + random.int(1, 60_000) : null,
    idempotencyKey: random.chance(0.2) ? `key-${random.int(1, 5)}` : null,
    webhook: random.chance(0.3)
      ? { url: `https://${random.pick(['a', 'b', 'c'])}.test/`, events: random.pick(EVENTS), base: '' }
      : null,
  };
}

function newOutcome(random: Random): Outcome {
  const dice = random.int(0, 9);
  const error = { code: random.chance(0.3) ? 'runner_crashed' : 'model_failed', message: 'it broke' } as const;
  if (dice < 5) {
    return { type: 'succeeded', output: { contentType: 'text/plain', bytes: Buffer.from('a rose') }, timings: TIMINGS };
  }
  if (dice < 7) return { type: 'failed', error, retryable: random.chance(0.7) };
  if (dice < 8) return { type: 'canceled' };
  return { type: 'interrupted', error: { code: 'worker_lost', message: 'gone' }, loss: random.pick(LOSSES) };
}

/** `create`: a started store over nothing, which takes all of the options; the suite stops it. */
export function sameAsMemorySuite(
  create: (options: StoreSuiteOptions, seed: number) => Promise<Store>,
  skip: false | string = false,
): void {
  for (const seed of SEEDS) {
    test(`the same answers as memory, seed ${seed}`, { skip }, async () => {
      const random = createRandom(seed);
      const clock = createManualClock(1_750_000_000_000);
      const memory = createMemoryStore({ clock, ...LIMITS });
      const other = await create({ clock, ...LIMITS }, seed);
      await memory.start();
      const state = { jobs: 0 };
      const done: string[] = [];
      try {
        let known: Job[] = [];
        for (let n = 0; n < CALLS; n += 1) {
          // Mostly moments; sometimes longer than a lease, a deadline, a result's time.
          if (random.chance(0.3)) clock.advance(random.chance(0.9) ? random.int(1, 3_000) : random.int(10_000, 90_000));
          const fork = random.fork();
          const [name, call] = nextCall(fork, known, state, clock.now());
          done.push(name);
          const draws = fork.next();
          const [wanted, got] = [await call(memory), await call(other)];
          const what = `seed ${seed}, call ${n}: ${name} (${draws}) after ${done.slice(-8).join(' ')}`;
          assert.deepEqual(plain(got, name === 'claim'), plain(wanted, name === 'claim'), what);
          known = (await memory.list({ limit: 1_000, cursor: null })).jobs;
          if (n % 10 === 0) {
            const kept = (store: Store) => Promise.all(known.map((job) => store.failedInput(job.id)));
            assert.deepEqual(plain(await kept(other)), plain(await kept(memory)), `${what}, inputs of failed jobs`);
            const views = await Promise.all(known.map(({ id }) => other.get(id)));
            assert.deepEqual(plain(views), plain(known), `${what}, all jobs`);
            assert.deepEqual(plain(await other.counts()), plain(await memory.counts()), `${what}, counts`);
            assert.deepEqual(
              plain(await other.oldestWaiting()),
              plain(await memory.oldestWaiting()),
              `${what}, oldest`,
            );
          }
        }
      } finally {
        await memory.stop();
        await other.stop();
      }
    });
  }
}
