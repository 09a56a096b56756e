/** The dialling end against gateways that are away, false, silent, or break the rules. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { TlsOptions } from 'node:tls';
import { createCountingClock, eventually } from '../../test/support/leaks.ts';
import { createManualClock } from '../../test/support/manual-clock.ts';
import type { ManualClock } from '../../test/support/manual-clock.ts';
import { openFakeGateway, openFakeTls, WELCOME } from '../../test/support/fake-gateway.ts';
import type { FakeConnection, FakeGateway } from '../../test/support/fake-gateway.ts';
import { openProxy } from '../../test/support/proxy.ts';
import { onWorker, resultOf, sessionOf, tunnelTest } from '../../test/support/tunnel.ts';
import type { Scene, TestLink } from '../../test/support/tunnel.ts';
import { isPosternError } from '../../test/support/expect.ts';
import { issueLeaf, makeKeyPem, selfSign } from '../identity/certificate.ts';
import type { LeafRequest } from '../identity/certificate.ts';
import type { Assign, Message, MessageType } from '../protocol/messages.ts';
import { createDialContext, dialGateway } from './dial.ts';

const DAY_MS = 86_400_000;
/** As many ends as a worker keeps before it asks for no more work. */
const MANY = 8_192;
const ASSIGN: Assign = {
  type: 'assign',
  job: 'job-1',
  attempt: 1,
  model: 'echo',
  version: '1',
  rows: 1,
  contentType: 'application/octet-stream',
  bytes: 0,
};

async function dial(scene: Scene, port: number, timeoutMs = 5_000, clock = createCountingClock()) {
  const made = await scene.identity.issueWorker('gpu-1', DAY_MS);
  const context = createDialContext({ ...made, caPem: scene.identity.caPem });
  return dialGateway({ host: '127.0.0.1', port, context, clock, timeoutMs });
}

tunnelTest('a gateway with a wrong certificate is not trusted', async (scene) => {
  const ca = scene.identity.caPem;
  const authority = { keyPem: await scene.readKey('ca.key'), certPem: ca };
  const leaf = async (changes: Partial<LeafRequest>, now = Date.now()): Promise<TlsOptions> => {
    const names = [{ type: 'dns', value: 'postern-gateway' }] as const;
    const request = { commonName: 'x', names, purpose: 'serverAuth' as const, ttlMs: DAY_MS, ...changes };
    const { keyPem: key, certPem: cert } = await issueLeaf(authority, request, now);
    return { key, cert };
  };
  const selfKey = makeKeyPem();
  const worker = await scene.identity.issueWorker('gpu-2', DAY_MS);
  const cases: Record<string, TlsOptions> = {
    'self-signed': { key: selfKey, cert: await selfSign(selfKey, 'postern-gateway', Date.now(), DAY_MS) },
    'another name': await leaf({ names: [{ type: 'dns', value: 'localhost' }] }),
    'purpose client': await leaf({ purpose: 'clientAuth' }),
    'a worker’s': { key: worker.keyPem, cert: worker.certPem },
    expired: await leaf({}, Date.now() - 2 * DAY_MS),
  };
  for (const [name, options] of Object.entries(cases)) {
    const fake = await openFakeTls(options);
    scene.onEnd(() => fake.close());
    await assert.rejects(dial(scene, fake.port), isPosternError('handshake_refused', /CA\?|purpose|only/), name);
  }
  const old = await openFakeTls({ ...(await leaf({})), maxVersion: 'TLSv1.2' });
  scene.onEnd(() => old.close());
  await assert.rejects(dial(scene, old.port), isPosternError('unreachable', /TLS 1\.3/));
  const silentOnAlpn = await openFakeTls({ ...(await leaf({})), ALPNProtocols: undefined });
  scene.onEnd(() => silentOnAlpn.close());
  await assert.rejects(dial(scene, silentOnAlpn.port), isPosternError('version_mismatch', /tunnel port/));
});

tunnelTest('an address where nothing listens, answers, or speaks TLS is told apart', async (scene) => {
  const server = createServer((socket) =>
    socket
      .on('error', () => undefined)
      .resume()
      .end('SSH-2.0-OpenSSH\r\n'),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scene.onEnd(() => server.close());
  const { port } = server.address() as AddressInfo;
  await assert.rejects(dial(scene, port), isPosternError('unreachable', /tunnel port/));
  await new Promise((resolve) => server.close(resolve));
  await assert.rejects(dial(scene, port), isPosternError('unreachable', /nothing listens/));

  const clock = createManualClock();
  const silent = createServer((socket) => void socket.on('error', () => undefined).resume());
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  scene.onEnd(() => silent.close());
  const dialled = assert.rejects(
    dial(scene, (silent.address() as AddressInfo).port, 5_000, clock),
    isPosternError('unreachable', /within 5000 ms/),
  );
  await eventually(() => clock.timerCount === 1);
  clock.advance(5_000);
  await dialled;
  assert.equal(clock.timerCount, 0);
});

tunnelTest(
  'a link goes on dialling while nothing is there: three quick tries, then longer and longer',
  async (scene) => {
    const { port } = await scene.openTunnel().then(async (tunnel) => {
      await tunnel.listener.stop();
      return tunnel;
    });
    const clock = createManualClock();
    const worker = await scene.openLink({ port }, { clock, random: () => 0.5 });
    await until(worker, clock, () => delaysOf(worker).length >= 11);
    const expected = [200, 200, 200, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000];
    assert.deepEqual(delaysOf(worker).slice(0, 11), expected);
    assert.equal(worker.link.state, 'connecting');
  },
);

tunnelTest('after a stable minute a loss begins with the quick tries again', async (scene) => {
  const tunnel = await scene.openTunnel();
  const proxy = await openProxy(tunnel.port);
  scene.onEnd(() => proxy.close());
  const clock = createManualClock();
  const worker = await scene.openLink(proxy, { clock, random: () => 0.5, config: { dialTimeoutMs: 1e9 } });
  await sessionOf(tunnel);
  for (let n = 2; n <= 5; n += 1) {
    await worker.journal.until(() => worker.link.state === 'connected');
    proxy.connections.at(-1)?.cut();
    await until(worker, clock, () => tunnel.journal.entries.filter(({ type }) => type === 'onOpen').length === n);
  }
  assert.deepEqual(delaysOf(worker), [200, 200, 200, 500]);
  await worker.journal.until(() => worker.link.state === 'connected');
  for (let s = 0; s < 60; s += 1) {
    clock.advance(1_000);
    // The pings are answered in between, or the connection would be called dead.
    await eventually(() => worker.link.roundTripMs !== null);
    await new Promise((resolve) => setImmediate(resolve));
  }
  proxy.connections.at(-1)?.cut();
  await worker.log.until(() => delaysOf(worker).length === 5);
  assert.equal(delaysOf(worker)[4], 200);
});

tunnelTest('a gateway that refuses is dialled again, but not in a hurry', async (scene) => {
  const fake = await openFake(scene, () => ({ type: 'close', code: 'superseded', message: 'another process' }));
  const clock = createManualClock();
  const worker = await scene.openLink(fake, { clock, random: () => 0.9 });
  const line = await worker.log.find(({ message }) => message === 'dialling again');
  assert.deepEqual([line.fields.code, line.fields.delay_ms], ['superseded', 27_000]);
});

tunnelTest('a gateway that does not answer the hello is given up at the deadline', async (scene) => {
  const { keyPem: key, certPem: cert } = scene.identity.gateway;
  const fake = await openFakeTls({ key, cert });
  scene.onEnd(() => fake.close());
  const clock = createManualClock();
  const worker = await scene.openLink(fake, { clock });
  await fake.sockets.until(() => fake.sockets.entries.length === 1);
  await until(worker, clock, () => delaysOf(worker).length === 1, 500);
  const line = worker.log.entries.find(({ message }) => message === 'dialling again');
  assert.equal(line?.fields.code, 'handshake_timeout');
});

tunnelTest('a certificate that the gateway rejects is named as a likely reason', async (scene) => {
  const tunnel = await scene.openTunnel();
  const worker = await scene.openLink(tunnel, { certificateTtlMs: -1_000 });
  const line = await worker.log.find(({ message }) => message === 'dialling again');
  assert.equal(line.fields.code, 'connection_lost');
  assert.match(String(line.fields.reason), /rejects this certificate \(expired/);
});

tunnelTest('work beyond the granted credit ends the connection', async (scene) => {
  const { worker, first } = await openWithCredit(scene, 1);
  first.connection.send(ASSIGN);
  first.connection.send({ ...ASSIGN, job: 'job-2' });
  assert.equal((await first.closed)?.code, 'flow_control');
  await onWorker(worker, 'onAssign');
  assert.equal(worker.journal.entries.filter(({ type }) => type === 'onAssign').length, 1);
});

tunnelTest('an attempt that is assigned twice runs once, whatever became of it', async (scene) => {
  const { worker, first } = await openWithCredit(scene, 3);
  first.connection.send(ASSIGN);
  first.connection.send(ASSIGN);
  const [assignment] = await onWorker(worker, 'onAssign');
  worker.link.end(assignment, resultOf(Buffer.alloc(0)));
  await nextOf(first, 'result');
  first.connection.send(ASSIGN);
  first.connection.send({ type: 'ack', attempts: [['job-1', 1]] });
  first.connection.send(ASSIGN);
  first.connection.send({ ...ASSIGN, attempt: 2 });
  assert.equal((await onWorker(worker, 'onAssign', 2))[0].attempt, 2);
  assert.equal(first.received.entries.filter(({ type }) => type === 'result').length, 1);
});

tunnelTest('messages that are not a gateway’s to send end the connection, and the worker comes back', async (scene) => {
  const notYours: Message[] = [
    { type: 'grant', model: 'echo', version: '1', rows: 1 },
    { type: 'resume', attempts: [] },
    { type: 'drained' },
    { type: 'probe_report', bytes: 0, received: 0 },
    WELCOME,
  ];
  const { fake, first } = await openWithCredit(scene, 1);
  let current = first;
  for (const [i, message] of notYours.entries()) {
    current.connection.send(message);
    assert.equal((await current.closed)?.code, 'protocol_error', message.type);
    current = await controlOf(fake, i + 2);
    assert.equal(current.hello.epoch, i + 2);
    assert.equal(current.hello.session, first.hello.session);
  }
});

tunnelTest('a lowered capacity holds back credit, and never takes any back', async (scene) => {
  const { worker, first } = await openWithCredit(scene, 4);
  worker.link.setCapacity('echo', '1', 2);
  first.connection.send({ ...ASSIGN, rows: 3 });
  const [assignment] = await onWorker(worker, 'onAssign');
  worker.link.end(assignment, { type: 'canceled' });
  await nextOf(first, 'canceled');
  // 4 granted, 3 used: 1 is out; capacity 2 leaves 1 to grant.
  await first.received.until(() => grantsOf(first).length === 2);
  assert.deepEqual(grantsOf(first), [4, 1]);
});

tunnelTest(
  'too much that waits for acks holds back credit everywhere, and the first acks bring it back',
  async (scene) => {
    const [a, b] = [await openFake(scene), await openFake(scene, () => ({ ...WELCOME, gateway: 'other' }))];
    const worker = await scene.openLink(a, { more: [b], random: () => 0 });
    const [atA, atB] = [await controlOf(a, 1), await controlOf(b, 1)];
    // Both are linked, and get their halves at once.
    await Promise.all([nextOf(atA, 'models'), nextOf(atB, 'models')]);
    worker.link.setCapacity('echo', '1', 2 * MANY);
    await Promise.all([nextOf(atA, 'grant'), nextOf(atB, 'grant')]);
    const jobs = Array.from({ length: MANY }, (_, n) => `a-${n}`);
    for (const job of jobs) atA.connection.send({ ...ASSIGN, job });
    atB.connection.send({ ...ASSIGN, job: 'b' });
    await onWorker(worker, 'onAssign', MANY + 1);
    for (const job of jobs) worker.link.end({ job, attempt: 1 }, resultOf(Buffer.alloc(0)));
    worker.link.end({ job: 'b', attempt: 1 }, resultOf(Buffer.alloc(0)));
    await nextOf(atB, 'result');
    await atA.received.until(() => atA.received.entries.filter(({ type }) => type === 'result').length === MANY);
    assert.deepEqual([grantsOf(atA), grantsOf(atB)], [[MANY], [MANY]]);
    // Two, because that of `b` waits too.
    atA.connection.send({ type: 'ack', attempts: jobs.slice(0, 2).map((job) => [job, 1]) });
    await atA.received.until(() => grantsOf(atA).length === 2);
    await atB.received.until(() => grantsOf(atB).length === 2);
    assert.deepEqual([grantsOf(atA)[1], grantsOf(atB)[1]], [MANY, 1]);
  },
);

/** Lets the link's clock run until the condition holds; real sockets need real turns in between. */
async function until(worker: TestLink, clock: ManualClock, condition: () => boolean, stepMs = 50): Promise<void> {
  await eventually(() => {
    if (condition()) return true;
    if (worker.link.state !== 'connected') clock.advance(stepMs);
    return false;
  });
}

const delaysOf = (worker: TestLink): unknown[] =>
  worker.log.entries.filter(({ message }) => message === 'dialling again').map(({ fields }) => fields.delay_ms);

const grantsOf = (connection: FakeConnection): number[] =>
  connection.received.entries.flatMap((message) => (message.type === 'grant' ? [message.rows] : []));

const nextOf = (connection: FakeConnection, type: MessageType): Promise<Message> =>
  connection.received.find((message) => message.type === type);

const controlOf = (fake: FakeGateway, nth: number): Promise<FakeConnection> =>
  fake.welcomed.until(() => fake.welcomed.entries.filter(({ hello }) => hello.role === 'control')[nth - 1]);

async function openFake(scene: Scene, answer?: () => Message): Promise<FakeGateway> {
  const fake = await openFakeGateway(scene.identity, answer);
  scene.onEnd(() => fake.close());
  return fake;
}

async function openWithCredit(scene: Scene, rows: number) {
  const fake = await openFake(scene);
  const worker = await scene.openLink(fake, { random: () => 0 });
  worker.link.setCapacity('echo', '1', rows);
  const first = await controlOf(fake, 1);
  await nextOf(first, 'grant');
  return { fake, worker, first };
}
