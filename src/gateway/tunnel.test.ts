/** The two ends of the tunnel together, over real mutual TLS on loopback. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { LinkEvents } from '../worker/ports.ts';
import type { SessionEvents } from './ports.ts';
import { ECHO, heard, makeJob, openLink, openTunnel, resultOf, sessionOf } from '../../test/support/tunnel.ts';
import type { GatewayJournal, WorkerJournal } from '../../test/support/tunnel.ts';

const onGateway = <Name extends keyof SessionEvents>(journal: GatewayJournal, name: Name, nth = 1) =>
  heard<SessionEvents, Name>(journal, name, nth);
const onWorker = <Name extends keyof LinkEvents>(journal: WorkerJournal, name: Name, nth = 1) =>
  heard<LinkEvents, Name>(journal, name, nth);

void test('work goes to the worker and its result comes back, is acked, and frees its credit', async (t) => {
  const tunnel = await openTunnel(t);
  const { link, journal } = await openLink(t, tunnel);
  link.announce([ECHO]);
  link.setCapacity('echo', '1', 4);
  const session = await sessionOf(tunnel);
  assert.equal(session.worker, 'gpu-1');
  assert.equal(session.address, '127.0.0.1');
  const models = await tunnel.journal.until(() =>
    tunnel.journal.entries.findLast((entry) => entry.type === 'onModels' && entry.args[1].length === 1),
  );
  assert.deepEqual(models.args[1], [ECHO]);
  assert.deepEqual((await onGateway(tunnel.journal, 'onGrant')).slice(1), ['echo', '1', 4]);

  session.assign(makeJob('job-1', Buffer.from('hello'), { parameters: { top_k: 3 } }), '1', 5_000);
  const [assignment] = await onWorker(journal, 'onAssign');
  assert.equal(assignment.input.toString(), 'hello');
  assert.deepEqual(assignment.parameters, { top_k: 3 });
  assert.equal(Math.round((assignment.deadlineAt ?? 0) - assignment.receivedAt), 5_000);

  link.progress(assignment, 0.5, 'half');
  assert.deepEqual((await onGateway(tunnel.journal, 'onProgress')).slice(2), [0.5, 'half']);
  link.end(assignment, resultOf(Buffer.from('answer')));
  const [, fence, output] = await onGateway(tunnel.journal, 'onResult');
  assert.deepEqual(fence, { job: 'job-1', attempt: 1, session: session.id });
  assert.equal(Buffer.from(output.bytes).toString(), 'answer');
  assert.deepEqual((await onGateway(tunnel.journal, 'onGrant', 2)).slice(1), ['echo', '1', 1]);
});

void test('large payloads travel both ways unchanged, and open the data connections', async (t) => {
  const tunnel = await openTunnel(t);
  const { link, journal } = await openLink(t, tunnel, {
    events: { onAssign: (assignment) => link.end(assignment, resultOf(assignment.input)) },
  });
  link.announce([ECHO]);
  link.setCapacity('echo', '1', 64);
  const session = await sessionOf(tunnel);
  await onGateway(tunnel.journal, 'onGrant');
  const inputs = Array.from({ length: 12 }, (_, i) => randomBytes(i === 0 ? 20_000 : 3_000_000 + i));
  for (const [i, input] of inputs.entries()) {
    session.assign(makeJob(`job-${i}`, input), '1', null);
    const results = await tunnel.journal.until(() => {
      const found = tunnel.journal.entries.filter((entry) => entry.type === 'onResult');
      return found.length === i + 1 && found;
    });
    const output = results.findLast((entry) => entry.args[1].job === `job-${i}`)?.args[2];
    assert.ok(output && input.equals(output.bytes), `job-${i}`);
  }
  assert.equal(journal.entries.filter((entry) => entry.type === 'onAssign').length, inputs.length);
});
