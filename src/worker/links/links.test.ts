/** One worker and several gateways: real listeners, links over mutual TLS on loopback, and a spool on a disk. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../clock.ts';
import { silentLogger } from '../../logger.ts';
import type { GatewaySession, SessionEvents } from '../../gateway/worker-ports.ts';
import type { Neighbours } from '../../gateway/neighbours.ts';
import type { WantedVersions } from '../../protocol/messages.ts';
import { eventually } from '../../../test/support/leaks.ts';
import { openProxy, type Proxy } from '../../../test/support/proxy.ts';
import { ECHO, makeJob, onGateway, onWorker, resultOf, sessionOf, tunnelTest } from '../../../test/support/tunnel.ts';
import type { Scene, TestLink, Tunnel } from '../../../test/support/tunnel.ts';
import { createSpool, type Spool } from '../spool.ts';

type Entry = Neighbours['list'][number];

/** The list that all gateways of a test have. */
function createNeighbours(): Neighbours & { set(list: readonly Entry[]): void } {
  const observers = new Set<() => void>();
  let list: readonly Entry[] = [];
  return {
    get list() {
      return list;
    },
    set(next) {
      list = next;
      for (const observer of observers) observer();
    },
    onChange(observer) {
      observers.add(observer);
      return () => observers.delete(observer);
    },
  };
}

const entry = (id: string, tunnel: Pick<Tunnel, 'port'> | null): Entry => ({
  id,
  state: 'serving',
  tunnelAddress: tunnel === null ? null : `127.0.0.1:${tunnel.port}`,
});

interface Cluster {
  readonly neighbours: ReturnType<typeof createNeighbours>;
  readonly a: Tunnel;
  readonly b: Tunnel;
}

/** There is no engine behind these listeners: they give back all that is asked for. */
const events: Partial<SessionEvents> = { onWithdraw: (...[, , , rows, answer]) => answer(rows) };

/** `deadMs`: after so much silence the link to the first one counts as lost. */
async function openCluster(scene: Scene, deadMs = 60_000): Promise<Cluster> {
  const neighbours = createNeighbours();
  const open = (gateway: string, ms: number): Promise<Tunnel> =>
    scene.openTunnel({ config: { gateway, pingMs: 50, deadMs: ms }, events, neighbours });
  const [a, b] = await Promise.all([open('a', deadMs), open('b', 60_000)]);
  neighbours.set([entry('a', a), entry('b', b)]);
  return { neighbours, a, b };
}

/** The first one is reached only through the proxy, so that it is the same link that comes back. */
async function openBehindProxy(scene: Scene, deadMs?: number): Promise<Cluster & { readonly proxy: Proxy }> {
  const cluster = await openCluster(scene, deadMs);
  const proxy = await openProxy(cluster.a.port);
  scene.onEnd(() => proxy.close());
  cluster.neighbours.set([entry('a', null), entry('b', cluster.b)]);
  return { ...cluster, proxy };
}

/** A link that takes 8 rows of ECHO. */
async function openEcho(scene: Scene, tunnel: Pick<Tunnel, 'port'>, spool: Spool | null = null): Promise<TestLink> {
  const worker = await scene.openLink(tunnel, { spool, random: () => 0.1 });
  worker.link.announce([ECHO]);
  worker.link.setCapacity('echo', '1', 8);
  return worker;
}

/** Granted less withdrawn: what the gateway may still send if it has sent nothing. */
const creditAt = ({ journal }: Tunnel, session: GatewaySession): number =>
  journal.entries.reduce((rows, event) => {
    if (event.type === 'onGrant' && event.args[0] === session) return rows + event.args[3];
    if (event.type === 'onWithdraw' && event.args[0] === session) return rows - event.args[3];
    return rows;
  }, 0);

tunnelTest('a worker that was told of one gateway serves all, and shares out what it takes', async (scene) => {
  const { a, b } = await openCluster(scene);
  const worker = await openEcho(scene, a);
  const [atA, atB] = [await sessionOf(a), await sessionOf(b)];
  assert.notEqual(atA.id, atB.id, 'fences of one gateway mean nothing to the other');
  await a.journal.until(() => creditAt(a, atA) === 4);
  await b.journal.until(() => creditAt(b, atB) === 4);
  atA.assign(makeJob('at-a'), '1', null);
  atB.assign(makeJob('at-b'), '1', null);
  const assigned = [(await onWorker(worker, 'onAssign'))[0], (await onWorker(worker, 'onAssign', 2))[0]];
  assert.equal(worker.link.busyRows('echo', '1'), 2);
  for (const one of assigned) worker.link.end(one, resultOf(Buffer.from(one.job)));
  const [resultA, resultB] = [await onGateway(a, 'onResult'), await onGateway(b, 'onResult')];
  assert.deepEqual([resultA[1].job, resultA[1].session], ['at-a', atA.id]);
  assert.deepEqual([resultB[1].job, resultB[1].session], ['at-b', atB.id]);
  assert.equal(worker.link.state, 'connected');
  // Of the first ping that was answered.
  await eventually(() => worker.link.roundTripMs !== null);
  assert.ok(worker.link.roundTripMs! > 0);
});

tunnelTest(
  'what ends for a gateway that is gone is delivered by another one, with the session that it belongs to',
  async (scene) => {
    const { neighbours, a, b } = await openCluster(scene);
    const worker = await openEcho(scene, a);
    const [atA, atB] = [await sessionOf(a), await sessionOf(b)];
    await a.journal.until(() => creditAt(a, atA) === 4);
    for (const id of ['before', 'after']) atA.assign(makeJob(id), '1', null);
    const [before] = await onWorker(worker, 'onAssign', 1);
    const [after] = await onWorker(worker, 'onAssign', 2);
    // Told, and not acked: then it goes.
    worker.link.end(before, resultOf(Buffer.from('1')));
    await onGateway(a, 'onResult');
    await a.listener.stop();
    neighbours.set([entry('b', b)]);
    const [session, fence] = await onGateway(b, 'onResult');
    assert.deepEqual([session, fence], [atB, { job: 'before', attempt: 1, session: atA.id }]);
    worker.link.end(after, resultOf(Buffer.from('2')));
    const [, second] = await onGateway(b, 'onResult', 2);
    assert.deepEqual(second, { job: 'after', attempt: 1, session: atA.id });
    atB.ack([fence, second]);
    await worker.log.find(({ message }) => message === 'a gateway is dialled no more');
    // All of the credit is at the one that is left.
    await b.journal.until(() => creditAt(b, atB) === 8);
  },
);

tunnelTest('what runs for a gateway that is gone is told to another one, which may cancel it', async (scene) => {
  const { a, b } = await openCluster(scene);
  const worker = await openEcho(scene, a);
  const [atA, atB] = [await sessionOf(a), await sessionOf(b)];
  await a.journal.until(() => creditAt(a, atA) === 4);
  atA.assign(makeJob('long'), '1', null);
  const [long] = await onWorker(worker, 'onAssign');
  await a.listener.stop();
  assert.deepEqual(await onGateway(b, 'onKeep'), [atB, atA.id, [['long', 1]]]);
  atB.cancel({ job: 'long', attempt: 1, session: atA.id }, 'caller');
  const [canceled, reason] = await onWorker(worker, 'onCancel');
  assert.deepEqual([canceled, reason], [{ job: 'long', attempt: 1 }, 'caller']);
  worker.link.end(long, { type: 'canceled' });
  const [, fence, code] = await onGateway(b, 'onFailure');
  assert.deepEqual([fence, code], [{ job: 'long', attempt: 1, session: atA.id }, 'draining']);
});

tunnelTest(
  'a gateway that says nothing is told of to another one long before its link counts as lost',
  async (scene) => {
    const { a, b, proxy } = await openBehindProxy(scene);
    const worker = await openEcho(scene, proxy);
    const [atA, atB] = [await sessionOf(a), await sessionOf(b)];
    await a.journal.until(() => creditAt(a, atA) === 4);
    atA.assign(makeJob('long'), '1', null);
    await onWorker(worker, 'onAssign');
    for (const relayed of proxy.connections) relayed.silence();
    assert.deepEqual(await onGateway(b, 'onKeep'), [atB, atA.id, null]);
    assert.ok(!worker.log.entries.some(({ message }) => message === 'dialling again'));
  },
);

tunnelTest(
  'a session with a stream is not kept: nobody else acks its parts, and another attempt is better',
  async (scene) => {
    const { a, b } = await openCluster(scene);
    const worker = await openEcho(scene, a);
    const [atA, atB] = [await sessionOf(a), await sessionOf(b)];
    await a.journal.until(() => creditAt(a, atA) === 4);
    await b.journal.until(() => creditAt(b, atB) === 4);
    for (const id of ['long', 'stream']) atA.assign(makeJob(id), '1', null);
    await onWorker(worker, 'onAssign', 1);
    const [stream] = await onWorker(worker, 'onAssign', 2);
    void worker.link.partial(stream, 0, 'text/plain', Buffer.from('part'));
    await onGateway(a, 'onPartial');
    await a.listener.stop();
    await worker.log.find(({ message }) => message === 'dialling again');
    // By the same connection as a word about it would have come.
    atB.assign(makeJob('at-b'), '1', null);
    const [atOther] = await onWorker(worker, 'onAssign', 3);
    worker.link.end(atOther, resultOf(Buffer.from('3')));
    await onGateway(b, 'onResult');
    assert.equal(b.journal.entries.filter(({ type }) => type === 'onKeep').length, 0);
    // When it has ended, the other one is free to go on.
    worker.link.end(stream, resultOf(Buffer.from('2')));
    assert.deepEqual(await onGateway(b, 'onKeep'), [
      atB,
      atA.id,
      [
        ['long', 1],
        ['stream', 1],
      ],
    ]);
  },
);

tunnelTest(
  'a stream whose gateway has been silent for long is given back, and what else ran there goes on',
  async (scene) => {
    const { a, b, proxy } = await openBehindProxy(scene, 1_000);
    const worker = await openEcho(scene, proxy);
    const [atA, atB] = [await sessionOf(a), await sessionOf(b)];
    await a.journal.until(() => creditAt(a, atA) === 4);
    for (const id of ['long', 'stream']) atA.assign(makeJob(id), '1', null);
    await onWorker(worker, 'onAssign', 1);
    const [stream] = await onWorker(worker, 'onAssign', 2);
    void worker.link.partial(stream, 0, 'text/plain', Buffer.from('part'));
    await onGateway(a, 'onPartial');
    proxy.onConnection = (relayed) => relayed.silence();
    for (const relayed of proxy.connections) relayed.silence();
    const [attempt, reason] = await onWorker(worker, 'onCancel');
    assert.deepEqual([attempt, reason], [{ job: 'stream', attempt: 1 }, 'drain']);
    worker.link.end(stream, { type: 'canceled' });
    assert.deepEqual(await onGateway(b, 'onKeep'), [
      atB,
      atA.id,
      [
        ['long', 1],
        ['stream', 1],
      ],
    ]);
    const [, fence, code, , retryable] = await onGateway(b, 'onFailure');
    assert.deepEqual([fence, code, retryable], [{ job: 'stream', attempt: 1, session: atA.id }, 'draining', true]);
  },
);

tunnelTest(
  'a draining worker does not leave before what ends for a gateway that is gone was delivered',
  async (scene) => {
    const { a, b } = await openCluster(scene);
    const worker = await openEcho(scene, a);
    const [atA, atB] = [await sessionOf(a), await sessionOf(b)];
    await a.journal.until(() => creditAt(a, atA) === 4);
    await b.journal.until(() => creditAt(b, atB) === 4);
    atA.assign(makeJob('at-a'), '1', null);
    const [attempt] = await onWorker(worker, 'onAssign');
    await a.listener.stop();
    await worker.log.find(({ message }) => message === 'dialling again');
    const drained = worker.link.drain(600_000);
    // This one has nothing there, and says so at once.
    await onGateway(b, 'onDraining');
    worker.link.end(attempt, resultOf(Buffer.from('1')));
    const [session, fence] = await onGateway(b, 'onResult');
    assert.deepEqual([session, fence], [atB, { job: 'at-a', attempt: 1, session: atA.id }]);
    assert.equal(worker.link.state, 'draining', 'not acked yet');
    atB.ack([fence]);
    await drained;
    assert.equal(worker.link.state, 'stopped');
    assert.equal((await onGateway(b, 'onClose'))[1], null);
  },
);

tunnelTest('a gateway that comes back at its address is dialled again, and gets its own ends', async (scene) => {
  const { neighbours, a, b } = await openCluster(scene);
  const worker = await openEcho(scene, b);
  const [atA] = [await sessionOf(a), await sessionOf(b)];
  await a.journal.until(() => creditAt(a, atA) === 4);
  atA.assign(makeJob('long'), '1', null);
  const [long] = await onWorker(worker, 'onAssign');
  await a.listener.stop();
  const again = await scene.openTunnel({ config: { port: a.port, gateway: 'a-again' }, events, neighbours });
  neighbours.set([entry('a-again', again), entry('b', b)]);
  const back = await sessionOf(again);
  assert.equal(back.id, atA.id, 'the same session: its attempts are still held');
  const [, attempts] = await onGateway(again, 'onResume');
  assert.deepEqual(attempts, [['long', 1]]);
  worker.link.end(long, resultOf(Buffer.from('1')));
  assert.equal((await onGateway(again, 'onResult'))[1].session, atA.id);
});

tunnelTest(
  'what a gateway wanted before it was lost counts no more when it is back, until it says it again',
  async (scene) => {
    const { a, b, proxy } = await openBehindProxy(scene);
    const worker = await openEcho(scene, proxy);
    const [atA, atB] = [await sessionOf(a), await sessionOf(b)];
    const wish = (name: string): WantedVersions => ({
      name,
      revision: 1,
      versions: ['1'],
      standby: [],
      allowDowntime: false,
    });
    const [old, fresh] = [wish('plants'), wish('clothes')];
    atA.deploy?.([old]);
    assert.deepEqual((await onWorker(worker, 'onDeploy'))[0], [old]);
    for (const relayed of proxy.connections) relayed.cut();
    const connections = () => worker.log.entries.filter(({ message }) => message === 'connected to the gateway');
    await worker.log.until(() => connections().length === 3);
    atB.deploy?.([fresh]);
    assert.deepEqual((await onWorker(worker, 'onDeploy', 2))[0], [fresh]);
  },
);

tunnelTest('behind one address for all it finds every gateway, and no session is replaced', async (scene) => {
  const { neighbours, a, b } = await openCluster(scene);
  neighbours.set([entry('a', null), entry('b', null)]);
  // A load balancer that hands out the same gateway three times before it hands out the other one.
  let count = 0;
  const balancer = await openProxy(() => ((count += 1) % 4 === 0 ? b.port : a.port));
  scene.onEnd(() => balancer.close());
  const worker = await openEcho(scene, balancer);
  const [atA, atB] = [await sessionOf(a), await sessionOf(b)];
  await a.journal.until(() => creditAt(a, atA) === 4);
  await b.journal.until(() => creditAt(b, atB) === 4);
  assert.equal(a.journal.entries.filter(({ type }) => type === 'onClose').length, 0);
  const refused = worker.log.entries.filter(({ fields }) => fields.code === 'already_linked');
  assert.ok(refused.length >= 1, 'it met the first one again, and was refused');
});

tunnelTest('the ends of an earlier run are delivered by whichever gateway is there', async (scene) => {
  const { a, b } = await openCluster(scene);
  const folder = await mkdtemp(join(tmpdir(), 'postern-links-'));
  scene.onEnd(() => rm(folder, { recursive: true }));
  const openSpool = (): Spool => createSpool({ folder, clock: systemClock, logger: silentLogger });
  const first = await openEcho(scene, a, openSpool());
  const [atA, atB] = [await sessionOf(a), await sessionOf(b)];
  await a.journal.until(() => creditAt(a, atA) === 4);
  await b.journal.until(() => creditAt(b, atB) === 4);
  atA.assign(makeJob('at-a'), '1', null);
  atB.assign(makeJob('at-b'), '1', null);
  for (const nth of [1, 2]) {
    const [assignment] = await onWorker(first, 'onAssign', nth);
    first.link.end(assignment, resultOf(Buffer.from(assignment.job)));
  }
  await Promise.all([onGateway(a, 'onResult'), onGateway(b, 'onResult')]);
  await first.link.stop();
  await a.listener.stop();

  await openEcho(scene, b, openSpool());
  const session = await sessionOf(b, 2);
  assert.deepEqual([...session.previous].sort(), [atA.id, atB.id].sort(), 'neither is taken for lost');
  const [, one] = await onGateway(b, 'onResult', 2);
  const [, two] = await onGateway(b, 'onResult', 3);
  assert.deepEqual([one, two].map((fence) => [fence.job, fence.session]).sort(), [
    ['at-a', atA.id],
    ['at-b', atB.id],
  ]);
  session.ack([one, two]);
  const gone = [await onGateway(b, 'onGone'), await onGateway(b, 'onGone', 2)];
  assert.deepEqual(gone.map(([, id]) => id).sort(), [atA.id, atB.id].sort());
});
