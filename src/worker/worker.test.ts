/** The whole worker against the real listener, over mutual TLS on loopback. */
import assert from 'node:assert/strict';
import { systemClock } from '../clock.ts';
import { silentLogger } from '../logger.ts';
import { noise } from '../../test/support/images.ts';
import { makeModelFolder } from '../../test/support/model-folder.ts';
import { makeJob, onGateway, sessionOf, tunnelTest } from '../../test/support/tunnel.ts';
import type { Scene, Tunnel } from '../../test/support/tunnel.ts';
import { parseWorkerConfig } from './config.ts';
import { createWorker } from './worker.ts';
import { fixedCredentials } from '../../test/support/tunnel-identity.ts';
import type { Worker } from './worker.ts';

async function startWorker(scene: Scene, tunnel: Tunnel): Promise<Worker> {
  const folder = await makeModelFolder();
  scene.onEnd(() => folder.remove());
  await folder.write('colours', '1');
  await folder.write('broken', '1', { file: Buffer.from('no network') });
  const made = await scene.identity.issueWorker('gpu-1', 86_400_000);
  const worker = createWorker({
    config: parseWorkerConfig({ targets: [{ port: tunnel.port }], modelsDir: folder.path }),
    credentials: fixedCredentials({ ...made, caPem: scene.identity.caPem }),
    logger: silentLogger,
    clock: systemClock,
    random: Math.random,
  });
  scene.onEnd(() => worker.stop());
  await worker.start();
  return worker;
}

tunnelTest(
  'a worker announces its models, grants credit for the ready ones, and answers photos good and bad',
  async (scene) => {
    const tunnel = await scene.openTunnel();
    const worker = await startWorker(scene, tunnel);
    const session = await sessionOf(tunnel);
    await worker.settled;
    const [, model, version, rows] = await onGateway(tunnel, 'onGrant');
    assert.deepEqual([model, version, rows], ['colours', '1', 8]);
    const states = await tunnel.journal.until(() => {
      const told = tunnel.journal.entries.findLast((entry) => entry.type === 'onModels');
      const reports = told?.type === 'onModels' ? told.args[1] : [];
      return reports.length === 2 && reports.map(({ name, state }) => `${name} ${state}`).sort();
    });
    assert.deepEqual(states, ['broken failed', 'colours ready']);

    // Larger than what travels inline, so that it crosses a data connection.
    const photo = await noise(400, 300).jpeg({ quality: 100 }).toBuffer();
    assert.ok(photo.length > 100_000);
    session.assign(makeJob('good', photo, { model: 'colours' }), '1', 10_000);
    session.assign(makeJob('bad', photo.subarray(0, 60_000), { model: 'colours' }), '1', 10_000);
    const [, fence, output, timings] = await onGateway(tunnel, 'onResult');
    assert.equal(fence.job, 'good');
    assert.equal(output.contentType, 'application/json');
    const answer = JSON.parse(Buffer.from(output.bytes).toString()) as { rejected: boolean; input: unknown };
    assert.deepEqual([answer.rejected, answer.input], [true, { width: 400, height: 300, format: 'jpeg' }]);
    assert.ok(timings.decodeMs > 0 && timings.computeMs > 0);
    const [, badFence, code, , retryable] = await onGateway(tunnel, 'onFailure');
    assert.deepEqual([badFence.job, code, retryable], ['bad', 'image_truncated', false]);
  },
);

tunnelTest('a worker that drains finishes what it has, and then is gone', async (scene) => {
  const tunnel = await scene.openTunnel();
  const worker = await startWorker(scene, tunnel);
  const session = await sessionOf(tunnel);
  await onGateway(tunnel, 'onGrant');
  session.assign(makeJob('last', await noise(400, 300).jpeg().toBuffer(), { model: 'colours' }), '1', 10_000);
  // Far beyond this test's own limit: the drain must end because the work has ended.
  const drained = worker.drain(3_600_000);
  await onGateway(tunnel, 'onDraining');
  const [, fence] = await onGateway(tunnel, 'onResult');
  assert.equal(fence.job, 'last');
  session.ack([fence]);
  await drained;
  await worker.stop();
  assert.equal(worker.link.state, 'stopped');
});
