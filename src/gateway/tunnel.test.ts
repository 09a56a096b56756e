/** The two ends of the tunnel together, over real mutual TLS on loopback. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { PosternError } from '../errors.ts';
import { DEFAULT_LIMITS } from '../protocol/limits.ts';
import { eventually } from '../../test/support/leaks.ts';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { openProxy } from '../../test/support/proxy.ts';
import { ECHO, makeJob, onGateway, onWorker, resultOf, sessionOf, tunnelTest } from '../../test/support/tunnel.ts';
import type { LinkOptions, Scene, TestLink, Tunnel } from '../../test/support/tunnel.ts';

tunnelTest('work goes to the worker and its result comes back, is acked, and frees its credit', async (scene) => {
  const tunnel = await scene.openTunnel();
  const worker = await scene.openLink(tunnel);
  worker.link.announce([ECHO]);
  worker.link.setCapacity('echo', '1', 4);
  const session = await sessionOf(tunnel);
  assert.equal(session.worker, 'gpu-1');
  assert.equal(session.address, '127.0.0.1');
  const models = await tunnel.journal.until(() =>
    tunnel.journal.entries.findLast((entry) => entry.type === 'onModels' && entry.args[1].length === 1),
  );
  assert.deepEqual(models.args[1], [ECHO]);
  assert.deepEqual((await onGateway(tunnel, 'onGrant')).slice(1), ['echo', '1', 4]);

  session.assign(makeJob('job-1', Buffer.from('hello'), { parameters: { top_k: 3 } }), '1', 5_000);
  const [assignment] = await onWorker(worker, 'onAssign');
  assert.equal(assignment.input.toString(), 'hello');
  assert.deepEqual(assignment.parameters, { top_k: 3 });
  assert.equal(Math.round((assignment.deadlineAt ?? 0) - assignment.receivedAt), 5_000);

  worker.link.progress(assignment, 0.5, 'half');
  assert.deepEqual((await onGateway(tunnel, 'onProgress')).slice(2), [0.5, 'half']);
  worker.link.end(assignment, resultOf(Buffer.from('answer')));
  const [, fence, output] = await onGateway(tunnel, 'onResult');
  assert.deepEqual(fence, { job: 'job-1', attempt: 1, session: session.id });
  assert.equal(Buffer.from(output.bytes).toString(), 'answer');
  assert.deepEqual((await onGateway(tunnel, 'onGrant', 2)).slice(1), ['echo', '1', 1]);
});

tunnelTest('large payloads travel both ways unchanged', async (scene) => {
  const tunnel = await scene.openTunnel();
  const worker = await scene.openLink(tunnel, {
    events: { onAssign: (assignment) => worker.link.end(assignment, resultOf(assignment.input)) },
  });
  worker.link.setCapacity('echo', '1', 64);
  const session = await sessionOf(tunnel);
  await onGateway(tunnel, 'onGrant');
  const inputs = Array.from({ length: 12 }, (_, i) => randomBytes(i === 0 ? 20_000 : 3_000_000 + i));
  const outputOf = (job: string) =>
    tunnel.journal.until(() => {
      for (const entry of tunnel.journal.entries) {
        if (entry.type === 'onResult' && entry.args[1].job === job) return entry.args[2].bytes;
      }
      return undefined;
    });
  for (const [i, input] of inputs.entries()) {
    session.assign(makeJob(`job-${i}`, input), '1', null);
    // The first six one by one, so that the data connections are opened meanwhile; the others all at once.
    if (i < 6) assert.ok(input.equals(await outputOf(`job-${i}`)), `job-${i}`);
  }
  for (const [i, input] of inputs.entries()) assert.ok(input.equals(await outputOf(`job-${i}`)), `job-${i}`);
});

tunnelTest('a cancel reaches the attempt, and its slot is free when the worker says so', async (scene) => {
  const tunnel = await scene.openTunnel();
  const worker = await scene.openLink(tunnel);
  worker.link.setCapacity('echo', '1', 1);
  const session = await sessionOf(tunnel);
  await onGateway(tunnel, 'onGrant');
  session.assign(makeJob('job-1'), '1', null);
  const [assignment] = await onWorker(worker, 'onAssign');
  const fence = { job: 'job-1', attempt: 1, session: session.id };
  session.cancel(fence, 'caller');
  assert.deepEqual(await onWorker(worker, 'onCancel'), [{ job: 'job-1', attempt: 1 }, 'caller']);
  assert.equal(countOf(tunnel, 'onGrant'), 1);
  worker.link.end(assignment, { type: 'canceled' });
  assert.deepEqual((await onGateway(tunnel, 'onCanceled'))[1], fence);
  assert.equal((await onGateway(tunnel, 'onGrant', 2))[3], 1);
});

tunnelTest('a cancel that overtakes its large input is obeyed: the attempt never runs', async (scene) => {
  const tunnel = await scene.openTunnel();
  const worker = await scene.openLink(tunnel);
  worker.link.setCapacity('echo', '1', 1);
  const session = await sessionOf(tunnel);
  await onGateway(tunnel, 'onGrant');
  session.assign(makeJob('job-1', randomBytes(8_000_000)), '1', null);
  session.cancel({ job: 'job-1', attempt: 1, session: session.id }, 'caller');
  await onGateway(tunnel, 'onCanceled');
  assert.equal((await onGateway(tunnel, 'onGrant', 2))[3], 1);
  assert.equal(countOf(worker, 'onAssign'), 0);
});

tunnelTest('a failure, and an output beyond what the gateway takes, arrive as failures', async (scene) => {
  const limits = { ...DEFAULT_LIMITS, maxPayloadBytes: 100_000 };
  const tunnel = await scene.openTunnel({ config: { limits } });
  const worker = await scene.openLink(tunnel);
  worker.link.setCapacity('echo', '1', 2);
  const session = await sessionOf(tunnel);
  await onGateway(tunnel, 'onGrant');
  session.assign(makeJob('job-1'), '1', null);
  const error = new PosternError('not_an_image', 'expected a photo');
  worker.link.end((await onWorker(worker, 'onAssign'))[0], { type: 'failure', error, retryable: false });
  assert.deepEqual((await onGateway(tunnel, 'onFailure')).slice(2), ['not_an_image', 'expected a photo', false]);
  session.assign(makeJob('job-2'), '1', null);
  worker.link.end((await onWorker(worker, 'onAssign', 2))[0], resultOf(Buffer.alloc(100_001)));
  const [, fence, code, , retryable] = await onGateway(tunnel, 'onFailure', 2);
  assert.deepEqual([fence.job, code, retryable], ['job-2', 'output_too_large', false]);
});

tunnelTest('an input beyond what the worker takes fails without being sent', async (scene) => {
  const tunnel = await scene.openTunnel();
  const limits = { ...DEFAULT_LIMITS, maxPayloadBytes: 100_000 };
  const worker = await scene.openLink(tunnel, { config: { limits } });
  const session = await sessionOf(tunnel);
  session.assign(makeJob('job-1', Buffer.alloc(100_001)), '1', null);
  const [, fence, code] = await onGateway(tunnel, 'onFailure');
  assert.deepEqual([fence.job, code], ['job-1', 'input_invalid']);
  assert.equal(countOf(worker, 'onAssign'), 0);
});

tunnelTest(
  'a result that was not acked is sent again after the link was lost, one that was acked is not',
  async (scene) => {
    const { tunnel, proxy, worker, session } = await openThroughProxy(scene, 4);
    session.assign(makeJob('job-1'), '1', null);
    worker.link.end((await onWorker(worker, 'onAssign'))[0], resultOf(Buffer.from('answer')));
    await onGateway(tunnel, 'onResult');
    proxy.connections.at(-1)?.cut();

    const [second, resumed] = await onGateway(tunnel, 'onOpen', 2);
    assert.equal(resumed, true);
    assert.equal(second.id, session.id);
    assert.deepEqual((await onGateway(tunnel, 'onResume'))[1], [['job-1', 1]]);
    const [, fence, output] = await onGateway(tunnel, 'onResult', 2);
    assert.equal(Buffer.from(output.bytes).toString(), 'answer');
    assert.equal((await onGateway(tunnel, 'onGrant', 3))[3], 4);
    const order = tunnel.journal.entries.map(({ type }) => type).filter((type) => type !== 'onHeard');
    const reopened = order.slice(order.lastIndexOf('onOpen'));
    assert.deepEqual(reopened, ['onOpen', 'onResume', 'onResult', 'onModels', 'onGrant']);

    second.ack([fence]);
    // The ack is on the wire before what follows it, so once this attempt runs the worker has the ack.
    second.assign(makeJob('job-2'), '1', null);
    await onWorker(worker, 'onAssign', 2);
    proxy.connections.at(-1)?.cut();
    assert.deepEqual((await onGateway(tunnel, 'onResume', 2))[1], [['job-2', 1]]);
  },
);

tunnelTest('what ran when the link was lost goes on, and its result arrives afterwards', async (scene) => {
  const { tunnel, proxy, worker, session } = await openThroughProxy(scene, 1);
  session.assign(makeJob('job-1'), '1', null);
  const [assignment] = await onWorker(worker, 'onAssign');
  worker.link.progress(assignment, 0.25, null);
  proxy.connections.at(-1)?.cut();
  await worker.journal.until(() => worker.link.state === 'connecting');
  worker.link.end(assignment, resultOf(Buffer.from('late')));
  const [, fence, output] = await onGateway(tunnel, 'onResult');
  assert.deepEqual([fence.job, Buffer.from(output.bytes).toString()], ['job-1', 'late']);
});

tunnelTest('a worker that dials again takes over from its own connection that fell silent', async (scene) => {
  const workerClock = createManualClock();
  const { tunnel, proxy, worker, session } = await openThroughProxy(scene, 1, { clock: workerClock, random: () => 0 });
  proxy.connections[0]?.silence();
  // The machine slept: the worker knows that its connection is worth nothing, the gateway does not.
  workerClock.suspend(60_000);
  workerClock.advance(1_000);
  await worker.journal.until(() => worker.link.state === 'connecting');
  // The link may set its timer some turns later.
  await eventually(() => {
    workerClock.advance(50);
    return tunnel.listener.stats().sessions === 1 && countOf(tunnel, 'onOpen') === 2;
  });
  const [second, resumed] = await onGateway(tunnel, 'onOpen', 2);
  assert.equal(resumed, true);
  assert.equal(second.id, session.id);
  assert.equal((await onGateway(tunnel, 'onClose'))[1]?.code, 'superseded');
  const order = tunnel.journal.entries.map(({ type }) => type);
  assert.ok(order.indexOf('onClose') < order.lastIndexOf('onOpen'));
});

tunnelTest('a gateway that stops and starts again finds its worker back, with what it holds', async (scene) => {
  const first = await scene.openTunnel();
  const worker = await scene.openLink(first);
  worker.link.setCapacity('echo', '1', 2);
  const session = await sessionOf(first);
  await onGateway(first, 'onGrant');
  session.assign(makeJob('job-1'), '1', null);
  const [assignment] = await onWorker(worker, 'onAssign');
  await first.listener.stop();

  const second = await scene.openTunnel({ config: { port: first.port } });
  const [, resumed] = await onGateway(second, 'onOpen');
  assert.equal(resumed, false, 'a new process has no memory of the session');
  assert.deepEqual((await onGateway(second, 'onResume'))[1], [['job-1', 1]]);
  assert.equal((await onGateway(second, 'onGrant'))[3], 1, 'one of two rows is in use');
  worker.link.end(assignment, resultOf(Buffer.from('answer')));
  await onGateway(second, 'onResult');
});

tunnelTest('a second process with the same certificate supersedes the first', async (scene) => {
  const tunnel = await scene.openTunnel();
  const first = await scene.openLink(tunnel);
  const old = await sessionOf(tunnel);
  await scene.openLink(tunnel);
  const [session, resumed] = await onGateway(tunnel, 'onOpen', 2);
  assert.equal(resumed, false);
  assert.notEqual(session.id, old.id);
  const [closed, error] = await onGateway(tunnel, 'onClose');
  assert.deepEqual([closed.id, error?.code], [old.id, 'superseded']);
  const told = await first.journal.until(() =>
    first.journal.entries.find((entry) => entry.type === 'onState' && entry.args[0] === 'connecting'),
  );
  assert.equal((told.args[1] as PosternError).code, 'superseded');
  old.assign(makeJob('job-1'), '1', null);
  old.ack([]);
  old.close('internal', 'twice is fine');
  assert.equal(countOf(tunnel, 'onClose'), 1);
});

tunnelTest('when a data connection dies, what it carried is sent again and runs once', async (scene) => {
  const { tunnel, proxy, worker, session } = await openThroughProxy(scene, 8, { config: { dataConnections: 1 } });
  session.assign(makeJob('opener', randomBytes(20_000)), '1', null);
  worker.link.end((await onWorker(worker, 'onAssign'))[0], resultOf(randomBytes(20_000)));
  await onGateway(tunnel, 'onResult');
  await eventually(() => tunnel.listener.stats().dataConnections === 1);
  const data = proxy.connections[1];
  data?.hold(true);
  session.assign(makeJob('job-1', randomBytes(2_000_000)), '1', 60_000);
  // Both have something on the connection that is about to die.
  worker.link.end({ job: 'opener', attempt: 1 }, resultOf(Buffer.from('again: ignored')));
  data?.cut();
  const [assignment] = await onWorker(worker, 'onAssign', 2);
  assert.deepEqual([assignment.job, assignment.input.byteLength], ['job-1', 2_000_000]);
  assert.ok(assignment.deadlineAt !== null);
  worker.link.end(assignment, resultOf(Buffer.from('answer')));
  assert.equal((await onGateway(tunnel, 'onResult', 2))[1].job, 'job-1');
  assert.equal(countOf(tunnel, 'onClose'), 0, 'the session never ended');
  await eventually(() => tunnel.listener.stats().dataConnections === 1);
});

tunnelTest('a draining gateway lets the worker finish, then parts in order', async (scene) => {
  const tunnel = await scene.openTunnel();
  const worker = await scene.openLink(tunnel);
  worker.link.setCapacity('echo', '1', 2);
  const session = await sessionOf(tunnel);
  await onGateway(tunnel, 'onGrant');
  session.assign(makeJob('job-1'), '1', null);
  const [assignment] = await onWorker(worker, 'onAssign');
  const drained = tunnel.listener.drain(30_000);
  assert.equal(tunnel.listener.drain(30_000), drained);
  assert.equal((await onWorker(worker, 'onDrain'))[0], 30_000);
  worker.link.end(assignment, resultOf(Buffer.from('answer')));
  const [, fence] = await onGateway(tunnel, 'onResult');
  session.ack([fence]);
  await drained;
  assert.equal((await onGateway(tunnel, 'onClose'))[1], null);
  assert.equal(countOf(tunnel, 'onGrant'), 1, 'no credit while draining');

  const next = await scene.openTunnel({ config: { port: tunnel.port } });
  assert.equal((await onGateway(next, 'onGrant'))[3], 2);
});

tunnelTest('a draining worker finishes, waits for the ack, and stops', async (scene) => {
  const tunnel = await scene.openTunnel();
  const worker = await scene.openLink(tunnel);
  worker.link.setCapacity('echo', '1', 2);
  const session = await sessionOf(tunnel);
  await onGateway(tunnel, 'onGrant');
  session.assign(makeJob('job-1'), '1', null);
  const [assignment] = await onWorker(worker, 'onAssign');
  const drained = worker.link.drain(30_000);
  assert.equal(worker.link.drain(30_000), drained);
  await onGateway(tunnel, 'onDraining');
  assert.equal(worker.link.state, 'draining');
  worker.link.end(assignment, resultOf(Buffer.from('answer')));
  const [, fence] = await onGateway(tunnel, 'onResult');
  assert.equal(worker.link.state, 'draining');
  session.ack([fence]);
  await drained;
  assert.equal(worker.link.state, 'stopped');
  assert.equal((await onGateway(tunnel, 'onClose'))[1], null);
});

tunnelTest('a drain ends at its deadline even if nothing finishes', async (scene) => {
  const clock = createManualClock();
  const tunnel = await scene.openTunnel({ clock });
  const worker = await scene.openLink(tunnel);
  worker.link.setCapacity('echo', '1', 1);
  const session = await sessionOf(tunnel);
  await onGateway(tunnel, 'onGrant');
  session.assign(makeJob('job-1'), '1', null);
  await onWorker(worker, 'onAssign');
  const drained = session.drain(10_000, 'a new release');
  await onWorker(worker, 'onDrain');
  clock.advance(10_000);
  await drained;
  assert.equal(countOf(tunnel, 'onClose'), 1);
});

tunnelTest('a worker whose gateway is away drains at once when it holds nothing', async (scene) => {
  const tunnel = await scene.openTunnel();
  await tunnel.listener.stop();
  const worker = await scene.openLink(tunnel);
  await worker.link.drain(30_000);
  assert.equal(worker.link.state, 'stopped');
});

tunnelTest('a link can be stopped before it started, while it dials, and twice', async (scene) => {
  const tunnel = await scene.openTunnel();
  const worker = await scene.openLink(tunnel);
  await worker.link.stop();
  await worker.link.stop();
  assert.equal(worker.link.state, 'stopped');
  await assert.rejects(worker.link.start());
  worker.link.announce([ECHO]);
  worker.link.end({ job: 'x', attempt: 1 }, { type: 'canceled' });
});

tunnelTest('forty workers find back to a gateway that was restarted', async (scene) => {
  const first = await scene.openTunnel();
  const names = Array.from({ length: 40 }, (_, n) => `gpu-${n}`);
  await Promise.all(names.map((name) => scene.openLink(first, { name })));
  await first.journal.until(() => first.listener.stats().sessions === 40);
  await first.listener.stop();
  const second = await scene.openTunnel({ config: { port: first.port } });
  await second.journal.until(() => second.listener.stats().sessions === 40);
  const workers = second.journal.entries.flatMap((entry) => (entry.type === 'onOpen' ? [entry.args[0].worker] : []));
  assert.deepEqual(workers.sort(), names.sort(), 'each came once');
});

/** A worker behind a relay, connected and with credit for `rows`. */
async function openThroughProxy(scene: Scene, rows: number, options: LinkOptions = {}) {
  const tunnel = await scene.openTunnel();
  const proxy = await openProxy(tunnel.port);
  scene.onEnd(() => proxy.close());
  const worker = await scene.openLink(proxy, options);
  worker.link.setCapacity('echo', '1', rows);
  const session = await sessionOf(tunnel);
  await onGateway(tunnel, 'onGrant');
  return { tunnel, proxy, worker, session };
}

const countOf = ({ journal }: Tunnel | TestLink, name: string): number =>
  journal.entries.filter(({ type }: { type: string }) => type === name).length;
