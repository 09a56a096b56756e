/** The two ends of the tunnel together, over real mutual TLS on loopback. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { ECHO, makeJob, onGateway, onWorker, resultOf, sessionOf, tunnelTest } from '../../test/support/tunnel.ts';

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
