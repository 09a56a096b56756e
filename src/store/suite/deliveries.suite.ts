/** The outbox: what is recorded with what happens to jobs, who may send it, and what becomes of it. */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import {
  DELIVERED_TTL_MS,
  FAILED_TTL_MS,
  MAX_DELIVERY_OUTPUT_BYTES,
  type Delivery,
  type DeliveryOutcome,
} from '../../dispatch/delivery.ts';
import type { Webhook } from '../../dispatch/webhook.ts';
import type { DeliveryClaim } from '../deliveries.ts';
import {
  HOUR_MS,
  START,
  TIMINGS,
  canceled,
  failed,
  interrupted,
  refusal,
  succeeded,
  type Bench,
  type Check,
} from './bench.suite.ts';

const SEND_MS = 20_000;
const hook = (url = 'https://a.test/hook', events: Webhook['events'] = ['start', 'completed']): Webhook => ({
  url,
  events,
  base: 'http://gateway.test',
});
const claimOf = (bench: Bench, over: Partial<DeliveryClaim> = {}): Promise<Delivery[]> =>
  bench.store.deliveries.claim({ limit: 100, perHost: 10, inFlight: new Map(), leaseMs: SEND_MS, ...over });
const idsOf = (deliveries: readonly Delivery[]): string[] => deliveries.map(({ id }) => id);
const endOf = async ({ store }: Bench, { id, attempt }: Delivery, outcome: DeliveryOutcome): Promise<boolean> =>
  (await store.deliveries.end([{ id, attempt, outcome }]))[0]!;
const delivered: DeliveryOutcome = { type: 'delivered', answer: 204 };
const refused: DeliveryOutcome = { type: 'failed', answer: 410, reason: 'it is gone' };

export function deliveriesSuite(name: string, check: Check): void {
  describe(`${name}: deliveries`, () => {
    check('a start and a decision are recorded with what happened, as it stood then', async (bench) => {
      const { run, end, clock, store } = bench;
      const job = await run({ webhook: hook(), parameters: { top_k: 3 } });
      clock.advance(50);
      await end(job, succeeded('a rose'));
      assert.equal(await store.deliveries.pending(), 2);
      const [started, completed, ...others] = await claimOf(bench);
      assert.deepEqual(others, []);
      assert.equal(started?.id, `msg_${job.id}_start`);
      assert.equal(started.event, 'start');
      assert.equal(started.job.status, 'processing');
      assert.equal(started.job.output, null);
      assert.equal(started.createdAt, START);
      assert.equal(started.host, 'a.test');
      assert.equal(started.attempt, 1);
      assert.deepEqual(started.webhook, hook());
      assert.equal(completed?.id, `msg_${job.id}_completed`);
      assert.equal(completed.createdAt, START + 50);
      const { output, input, ...rest } = completed.job;
      const { output: _, input: wanted, ...stored } = await bench.get(job);
      assert.deepEqual(rest, stored);
      assert.deepEqual(rest.timings, TIMINGS);
      assert.equal(input.contentType, wanted.contentType);
      assert.equal(input.bytes.byteLength, 0);
      assert.equal(Buffer.from(output?.bytes ?? []).toString(), 'a rose');
      assert.equal(completed.isOutputLeftOut, false);
    });

    check('nothing is recorded that nobody asked for', async (bench) => {
      const { run, end, store } = bench;
      await end(await run(), succeeded('x'));
      await end(await run({ webhook: hook('https://a.test/', []) }), succeeded('x'));
      const job = await run({ webhook: hook('https://a.test/', ['completed']) });
      assert.deepEqual(await claimOf(bench), []);
      await end(job, succeeded('x'));
      assert.deepEqual(idsOf(await claimOf(bench)), [`msg_${job.id}_completed`]);
      assert.deepEqual(await store.deliveries.ofJob((await run()).id), []);
    });

    check('however a job is decided, its caller is told once', async (bench) => {
      const { store, accept, run, end, clock } = bench;
      const webhook = hook('https://a.test/', ['completed']);
      const waiting = await accept({ webhook });
      await store.cancel(waiting.id);
      const running = await run({ webhook });
      await store.cancel(running.id);
      await end(running, canceled);
      await end(running, succeeded('late'));
      const broken = await run({ webhook });
      await end(broken, failed(false));
      const lost = await run({ webhook }, 's9');
      for (let attempt = 1; attempt <= 3; attempt += 1) {
        await store.release('s9', 'silent');
        if (attempt < 3) await bench.again({ session: 's9' });
      }
      const late = await accept({ webhook, deadlineAt: clock.now() + 10 });
      clock.advance(10);
      await store.sweep(100);
      const told = new Map((await claimOf(bench)).map(({ job }) => [job.id, job.status]));
      assert.deepEqual(
        [waiting, running, broken, lost, late].map(({ id }) => told.get(id)),
        ['canceled', 'canceled', 'failed', 'failed', 'aborted'],
      );
      assert.equal(told.size, 5);
    });

    check('a job that is tried again has started once', async (bench) => {
      const job = await bench.run({ webhook: hook() });
      await bench.end(job, interrupted('silent'));
      await bench.again();
      assert.deepEqual(idsOf(await claimOf(bench)), [`msg_${job.id}_start`]);
    });

    check('what one sender claims no other gets, until its lease is over', async (bench) => {
      const { clock } = bench;
      await bench.run({ webhook: hook() });
      const [first] = await claimOf(bench);
      assert.ok(first);
      clock.advance(SEND_MS - 1);
      assert.deepEqual(await claimOf(bench), []);
      clock.advance(1);
      const [second] = await claimOf(bench);
      assert.equal(second?.id, first.id);
      assert.equal(second.attempt, 2);
      // The first one answers late: it is not its attempt any more.
      assert.equal(await endOf(bench, first, refused), false);
      assert.equal(await endOf(bench, second, delivered), true);
      assert.equal(await endOf(bench, second, refused), false);
      clock.advance(HOUR_MS);
      assert.deepEqual(await claimOf(bench), []);
    });

    check('one that failed is due again when it was said', async (bench) => {
      const { clock, store } = bench;
      const job = await bench.run({ webhook: hook() });
      const [first] = await claimOf(bench);
      const dueAt = clock.now() + 300_000;
      assert.equal(await endOf(bench, first!, { type: 'retry', dueAt, answer: 503, reason: 'it answered 503' }), true);
      const [view] = await store.deliveries.ofJob(job.id);
      assert.deepEqual(view, {
        id: first!.id,
        job: job.id,
        caller: 'anna',
        event: 'start',
        url: 'https://a.test/hook',
        status: 'pending',
        attempt: 1,
        createdAt: START,
        nextAt: dueAt,
        endedAt: null,
        answer: 503,
        reason: 'it answered 503',
      });
      clock.advance(299_999);
      assert.deepEqual(await claimOf(bench), []);
      clock.advance(1);
      assert.equal((await claimOf(bench))[0]?.attempt, 2);
    });

    check('a host with many that are due gets no more at once than it may, and holds up nobody', async (bench) => {
      const slow = hook('https://slow.test/', ['start']);
      for (let count = 0; count < 5; count += 1) await bench.run({ webhook: slow });
      await bench.run({ webhook: hook('https://other.test:8443/', ['start']) });
      await bench.run({ webhook: hook('https://a.test/', ['start']) });
      const taken = await claimOf(bench, { perHost: 3, inFlight: new Map([['slow.test', 1]]) });
      const hosts = taken.map(({ host }) => host).sort();
      assert.deepEqual(hosts, ['a.test', 'other.test:8443', 'slow.test', 'slow.test']);
      assert.deepEqual(await claimOf(bench, { perHost: 3, inFlight: new Map([['slow.test', 3]]) }), []);
      assert.equal((await claimOf(bench, { perHost: 3 })).length, 3);
    });

    check('a small claim goes on with the next host', async (bench) => {
      for (const host of ['a', 'b', 'c', 'a', 'b']) {
        await bench.run({ webhook: hook(`https://${host}.test/`, ['start']) });
      }
      const hosts: string[] = [];
      for (let count = 0; count < 5; count += 1) hosts.push((await claimOf(bench, { limit: 1 }))[0]!.host);
      assert.deepEqual(hosts, ['a.test', 'b.test', 'c.test', 'a.test', 'b.test']);
      assert.deepEqual(await claimOf(bench, { limit: 1 }), []);
    });

    check('it outlives its job', async (bench) => {
      const { run, end, clock, store } = bench;
      const job = await run({ webhook: hook('https://a.test/', ['completed']) });
      await end(job, succeeded('a rose'));
      clock.advance(2 * HOUR_MS);
      await store.sweep(100);
      assert.equal(await store.get(job.id), null);
      const [delivery] = await claimOf(bench);
      assert.equal(Buffer.from(delivery?.job.output?.bytes ?? []).toString(), 'a rose');
    });

    check('a large output is carried as well, and one that is too large is left out', async (bench) => {
      const webhook = hook('https://a.test/', ['completed']);
      for (const bytes of [100_000, MAX_DELIVERY_OUTPUT_BYTES, MAX_DELIVERY_OUTPUT_BYTES + 1]) {
        await bench.end(await bench.run({ webhook }), succeeded('r'.repeat(bytes)));
        const [delivery] = await claimOf(bench);
        const isLeftOut = bytes > MAX_DELIVERY_OUTPUT_BYTES;
        assert.equal(delivery?.isOutputLeftOut, isLeftOut);
        assert.equal(delivery.job.output?.contentType, 'text/plain');
        assert.equal(delivery.job.output.bytes.byteLength, isLeftOut ? 0 : bytes);
      }
    });

    check('an empty output is not one that was left out', async (bench) => {
      await bench.end(await bench.run({ webhook: hook('https://a.test/', ['completed']) }), succeeded(''));
      assert.equal((await claimOf(bench))[0]?.isOutputLeftOut, false);
    });

    check(
      'outputs that wait are bounded in bytes; beyond it the message goes without',
      async (bench) => {
        const webhook = hook('https://a.test/', ['completed']);
        await bench.end(await bench.run({ webhook }), succeeded('r'.repeat(60)));
        await bench.end(await bench.run({ webhook }), succeeded('r'.repeat(60)));
        const [first, second] = await claimOf(bench);
        assert.deepEqual([first?.isOutputLeftOut, second?.isOutputLeftOut], [false, true]);
        await endOf(bench, first!, delivered);
        await bench.end(await bench.run({ webhook }), succeeded('r'.repeat(60)));
        assert.equal((await claimOf(bench))[0]?.isOutputLeftOut, false);
      },
      { maxDeliveryBytes: 100 },
    );

    check(
      'a full outbox refuses jobs with a webhook, and no others; it has room again when one is over',
      async (bench) => {
        const { store, job } = bench;
        await bench.run({ webhook: hook() });
        await bench.run({ webhook: hook() });
        const outcomes = await store.submit([job({ webhook: hook() }), job()]);
        assert.equal(refusal(outcomes[0]), 'overloaded');
        assert.equal(outcomes[1]?.type, 'accepted');
        const [first] = await claimOf(bench);
        await endOf(bench, first!, delivered);
        await bench.accept({ webhook: hook() });
      },
      { maxDeliveries: 2 },
    );

    check('what is over can be seen for a while, and then is forgotten', async (bench) => {
      const { store, clock } = bench;
      const one = await bench.run({ webhook: hook('https://a.test/', ['start']) });
      const two = await bench.run({ webhook: hook('https://a.test/', ['start']) });
      const [first, second] = await claimOf(bench);
      clock.advance(1_000);
      await endOf(bench, first!, delivered);
      await endOf(bench, second!, refused);
      const [done] = await store.deliveries.ofJob(one.id);
      assert.deepEqual(
        [done?.status, done?.answer, done?.reason, done?.endedAt, done?.nextAt],
        ['delivered', 204, null, START + 1_000, null],
      );
      const [dead] = await store.deliveries.ofJob(two.id);
      assert.deepEqual([dead?.status, dead?.answer, dead?.reason], ['failed', 410, 'it is gone']);
      assert.equal(await store.deliveries.pending(), 0);
      clock.advance(DELIVERED_TTL_MS);
      await store.sweep(100);
      assert.deepEqual(await store.deliveries.ofJob(one.id), []);
      assert.equal((await store.deliveries.ofJob(two.id)).length, 1);
      clock.advance(FAILED_TTL_MS);
      await store.sweep(100);
      assert.deepEqual(await store.deliveries.ofJob(two.id), []);
    });

    check('one that failed can be tried again, with all that it carried', async (bench) => {
      const { store } = bench;
      const job = await bench.run({ webhook: hook('https://a.test/', ['completed']) });
      await bench.end(job, succeeded('a rose'));
      const [first] = await claimOf(bench);
      assert.equal(await store.deliveries.retry(first!.id), null);
      await endOf(bench, first!, refused);
      const view = await store.deliveries.retry(first!.id);
      assert.deepEqual([view?.status, view?.attempt, view?.reason], ['pending', 0, null]);
      const [again] = await claimOf(bench);
      assert.deepEqual(again, first);
      assert.equal(await store.deliveries.retry('msg_nobody_start'), null);
    });

    check('they are listed newest first, by state and by caller', async (bench) => {
      const { deliveries } = bench.store;
      const ids: string[] = [];
      for (const caller of ['anna', 'ben', 'anna']) {
        ids.push(`msg_${(await bench.run({ caller, webhook: hook('https://a.test/', ['start']) })).id}_start`);
      }
      const [first] = await claimOf(bench, { limit: 1 });
      await endOf(bench, first!, refused);
      const page = await deliveries.list({ limit: 2, cursor: null });
      assert.deepEqual(
        page.deliveries.map(({ id }) => id),
        [ids[2], ids[1]],
      );
      const rest = await deliveries.list({ limit: 2, cursor: page.next });
      assert.deepEqual([rest.deliveries.map(({ id }) => id), rest.next], [[ids[0]], null]);
      const dead = await deliveries.list({ limit: 10, cursor: null, status: 'failed' });
      assert.deepEqual(
        dead.deliveries.map(({ id }) => id),
        [ids[0]],
      );
      const ofBen = await deliveries.list({ limit: 10, cursor: null, caller: 'ben' });
      assert.deepEqual(
        ofBen.deliveries.map(({ id }) => id),
        [ids[1]],
      );
    });

    check('another webhook with the same key is another body', async ({ store, job, accept }) => {
      await accept({ idempotencyKey: 'k', webhook: hook() });
      const same = { ...hook(), base: 'http://other-name.test' };
      assert.equal((await store.submit([job({ idempotencyKey: 'k', webhook: same })]))[0]?.type, 'existing');
      for (const webhook of [null, hook('https://b.test/'), hook('https://a.test/hook', ['start'])]) {
        assert.equal(refusal((await store.submit([job({ idempotencyKey: 'k', webhook })]))[0]), 'idempotency_mismatch');
      }
    });
  });
}
