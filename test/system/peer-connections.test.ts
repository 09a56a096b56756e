/** Connections from one gateway to another: how many, and how they end. Real TLS and HTTP. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { IncomingMessage, ServerResponse, type ClientRequest } from 'node:http';
import { Socket } from 'node:net';
import { suite, test } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import type { Peers } from '../../src/gateway/cluster/peer.ts';
import { createForwarder } from '../../src/gateway/http/forward.ts';
import type { Call } from '../../src/gateway/http/route.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { openFarGateway } from './attacks/far-gateway.ts';
import { CALLER, openPeerStage } from './attacks/peer-stage.ts';

const INFER = '/v2/models/plants/infer';
/** To one gateway at once. */
const MOST = 256;
/** How often a gateway that left the list is looked at. */
const LOOK_MS = 5_000;

const near = (peers: Peers) => peers.choose('plants', null, 'none')[0]!;

/** Its body never comes, so that it ends when somebody ends it. */
function begin(peers: Peers): ClientRequest {
  const headers = Object.entries({ ...CALLER, host: 'x', 'content-length': '2' }).flat();
  const made = near(peers).request('plants', { method: 'POST', path: INFER, headers });
  made.on('error', () => undefined);
  return made;
}

async function open(peers: Peers): Promise<ClientRequest> {
  const made = begin(peers);
  made.flushHeaders();
  const [socket] = (await once(made, 'socket')) as [Socket];
  await once(socket, 'secureConnect');
  return made;
}

/** With an error or without. */
const closed = (one: ClientRequest): Promise<void> => new Promise((resolve) => one.once('close', resolve));

void suite('connections to another gateway', () => {
  test('one that has as many requests as it may have is not asked, and nobody waits for it', async (t) => {
    const stage = await openPeerStage();
    t.after(() => stage.close());
    const far = await openFarGateway(stage, ['near']);
    t.after(() => far.close());
    const running = Array.from({ length: MOST }, () => begin(far.peers));
    const ended = running.map((one) => closed(one));
    assert.equal(near(far.peers).hasRoom, false);

    const forwarder = createForwarder({ peers: far.peers, clock: systemClock });
    const request = new IncomingMessage(new Socket());
    const access = { caller: 'key-1', admin: false, models: null, maxUndecidedJobs: null };
    const call = { request, response: new ServerResponse(request), access, id: 'x' } as unknown as Call;
    const passed = { model: 'plants', body: Buffer.from('{}'), repeatable: true };
    assert.equal(await forwarder.instead(call, { version: null, room: 'none' }, passed), null);
    assert.deepEqual(forwarder.counts, { answered: 0, refused: 0, unreachable: 0, lost: 0, left: 0 });

    for (const one of running) one.destroy();
    await Promise.all(ended);
    assert.equal(near(far.peers).hasRoom, true);
  });

  test('what runs on connections of the certificate before goes on, and ends with the others', async (t) => {
    const stage = await openPeerStage();
    t.after(() => stage.close());
    const far = await openFarGateway(stage, ['near']);
    t.after(() => far.close());
    const before = await open(far.peers);
    far.renewed();
    far.renewed();
    const after = await open(far.peers);
    assert.equal(before.destroyed, false);
    const ended = Promise.all([closed(before), closed(after)]);
    far.stop();
    await ended;
  });

  test('a gateway that left the list and lived is looked at again, until it is gone', async (t) => {
    const stage = await openPeerStage();
    t.after(() => stage.close());
    const clock = createManualClock();
    const far = await openFarGateway(stage, ['near'], clock);
    t.after(() => far.close());
    const running = await open(far.peers);
    const ended = closed(running);
    far.unlist();
    while (stage.taken < 2) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(running.destroyed, false, 'it lives');
    stage.closeDoor();
    clock.advance(LOOK_MS);
    await ended;
    far.stop();
    assert.equal(clock.timerCount, 0);
  });
});
