/**
 * Faults of the network between real processes. What 15 s of silence bring is measured by the long form (`npm run
 * torture:faults`), because no setting shortens them; here every fault happens, ends, and must have done no harm.
 */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { until } from '../support/postern.ts';
import type { Relayed } from '../support/proxy.ts';
import { isRight, look, openNetwork, runningOn, submit, untilDecided, untilState, type Network } from './network.ts';

suite('between a worker and its gateway', { timeout: 240_000 }, () => {
  let network: Network;
  before(async () => (network = await openNetwork()));
  after(() => network.close());

  /** So many predictions at once, and all of them right. */
  async function allRight(count: number, delayMs: number): Promise<void> {
    const { gateway } = network;
    const ids = await Promise.all(Array.from({ length: count }, () => submit(gateway, delayMs)));
    const seen = await Promise.all(ids.map((id) => untilDecided(gateway, id)));
    assert.deepEqual(
      seen.filter((one) => !isRight(one)),
      [],
    );
  }

  void test('latency costs time and nothing else', async () => {
    for (const { suffer } of network.workers) suffer((to) => to.delay(150));
    await allRight(20, 1);
    for (const { suffer } of network.workers) suffer((to) => to.delay(0));
  });

  void test('a connection that is reset in the middle of a frame is dialled again, and its attempts go on', async () => {
    const { gateway, workers } = network;
    const [victim] = workers;
    for (const direction of ['up', 'down'] as const) {
      const id = await runningOn(gateway, victim.name, 1_500);
      const dials = victim.proxy.connections.length;
      // A TLS record begins with five bytes of header, and what it holds is longer than two.
      for (const one of victim.proxy.connections) one.endAfter(direction, 7, 'reset');
      // A ping travels at the latest after 5 s; a small prediction makes something travel now.
      await submit(gateway, 1);
      await until('another dial', 30_000, () => Promise.resolve(victim.proxy.connections.length > dials ? true : null));
      const seen = await untilDecided(gateway, id);
      assert.ok(isRight(seen));
      assert.equal(seen.attempt, 1, 'the worker held on to it');
      await untilState(gateway, victim.name, 'connected');
    }
  });

  void test('a peer that reads slowly gets everything in the end', async () => {
    const { gateway, workers } = network;
    const id = await runningOn(gateway, workers[0].name, 500);
    for (const one of workers[0].proxy.connections) one.hold(true);
    for (const one of workers[0].proxy.connections) one.throttle(2_000);
    assert.equal((await look(gateway, id)).status, 'processing');
    for (const one of workers[0].proxy.connections) one.hold(false);
    assert.ok(isRight(await untilDecided(gateway, id)));
    workers[0].suffer((to) => to.throttle(Infinity));
    await allRight(10, 1);
  });

  for (const [what, fault] of [
    ['one byte a second', (to: Relayed) => to.throttle(1)],
    ['one way, up', (to: Relayed) => to.drop('up')],
    ['one way, down', (to: Relayed) => to.drop('down')],
    ['half-open', (to: Relayed) => to.silence()],
  ] as const) {
    void test(`${what}: the other worker serves meanwhile, and the link is used again when it is well`, async () => {
      const { gateway, workers } = network;
      const [victim, other] = workers;
      const held = await runningOn(gateway, victim.name, 1_000);
      victim.suffer(fault);
      const id = await runningOn(gateway, other.name, 1);
      assert.ok(isRight(await untilDecided(gateway, id)));
      victim.suffer(null);
      assert.ok(isRight(await untilDecided(gateway, held)));
      await untilState(gateway, victim.name, 'connected');
    });
  }
});
