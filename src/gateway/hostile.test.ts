/** Whoever knocks at the tunnel port: strangers, silent ones, floods, and workers that break the rules. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { systemClock } from '../clock.ts';
import { issueLeaf, makeKeyPem, selfSign } from '../identity/certificate.ts';
import type { AlternativeName, LeafRequest } from '../identity/certificate.ts';
import { openIdentity } from '../identity/identity.ts';
import { makeHello } from '../protocol/hello.ts';
import type { Message } from '../protocol/messages.ts';
import { eventually } from '../../test/support/leaks.ts';
import { createManualClock } from '../../test/support/manual-clock.ts';
import { HELLO, openRawWorker, openTcp, openTls, workerTls } from '../../test/support/raw-peer.ts';
import type { RawWorker } from '../../test/support/raw-peer.ts';
import { onGateway, sessionOf, tunnelTest } from '../../test/support/tunnel.ts';
import type { Scene, Tunnel } from '../../test/support/tunnel.ts';

const DAY_MS = 86_400_000;
/** Long enough for a frame's header, and no header. */
const GARBAGE = Buffer.alloc(64, 0xff);

/** Connects with these TLS settings and says hello; resolves with why the gateway closed. */
async function refusal(tunnel: Tunnel, tls: ConnectionOptions): Promise<string> {
  const before = { ...tunnel.listener.stats().refused };
  const { socket, closed } = await openTls(tunnel.port, tls);
  socket.resume();
  if (!socket.destroyed) socket.write(GARBAGE);
  await closed;
  const after = tunnel.listener.stats().refused;
  assert.equal(tunnel.listener.stats().sessions, 0);
  return Object.keys(after).find((code) => after[code] !== before[code]) ?? 'closed without a code';
}

tunnelTest('certificates that are missing, strange, or for another purpose are refused', async (scene) => {
  const tunnel = await scene.openTunnel();
  const good = await workerTls(scene.identity);
  const ca = scene.identity.caPem;
  const authority = { keyPem: await scene.readKey('ca.key'), certPem: ca };
  const uri = (value: string): AlternativeName[] => [{ type: 'url', value }];
  const leaf = async (changes: Partial<LeafRequest>, now = Date.now()): Promise<ConnectionOptions> => {
    const names = uri('postern://worker/gpu-1');
    const request = { commonName: 'x', names, purpose: 'clientAuth' as const, ttlMs: DAY_MS, ...changes };
    const { keyPem: key, certPem: cert } = await issueLeaf(authority, request, now);
    return { key, cert, ca };
  };
  const selfKey = makeKeyPem();
  const stranger = await strangerIdentity(scene);

  const cases: Record<string, ConnectionOptions> = {
    'no certificate': { ca },
    'another authority': { ...(await workerTls(stranger)), ca },
    'self-signed': { key: selfKey, cert: await selfSign(selfKey, 'gpu-1', Date.now(), DAY_MS), ca },
    'the gateway’s own': { key: scene.identity.gateway.keyPem, cert: scene.identity.gateway.certPem, ca },
    'the authority’s own': { key: authority.keyPem, cert: authority.certPem, ca },
    'purpose server': await leaf({ purpose: 'serverAuth' }),
    'no worker name': await leaf({ names: [{ type: 'dns', value: 'gpu-1' }] }),
    'another scheme': await leaf({ names: uri('spiffe://worker/gpu-1') }),
    'two names': await leaf({ names: [...uri('postern://worker/gpu-1'), ...uri('postern://worker/gpu-2')] }),
    'a name that is none': await leaf({ names: uri('postern://worker/GPU 1') }),
    'a path for a name': await leaf({ names: uri('postern://worker/gpu-1/x') }),
    expired: await leaf({}, Date.now() - 2 * DAY_MS),
    'not yet valid': await leaf({}, Date.now() + DAY_MS),
  };
  for (const [name, tls] of Object.entries(cases)) {
    assert.equal(await refusal(tunnel, { rejectUnauthorized: true, ...tls }), 'handshake_refused', name);
  }
  assert.notEqual(await refusal(tunnel, good), 'handshake_refused', 'the good one passes as far as its garbage');
});

tunnelTest('TLS 1.2, no application protocol, another one, and plain text are refused', async (scene) => {
  const tunnel = await scene.openTunnel();
  const good = await workerTls(scene.identity);
  assert.equal(await refusal(tunnel, { ...good, maxVersion: 'TLSv1.2' }), 'handshake_refused');
  assert.equal(await refusal(tunnel, { ...good, ALPNProtocols: undefined }), 'version_mismatch');
  assert.equal(await refusal(tunnel, { ...good, ALPNProtocols: ['h2'] }), 'handshake_refused');
  const { socket, closed } = await openTcp(tunnel.port);
  socket.write('GET / HTTP/1.1\r\n\r\n');
  await closed;
  assert.equal(tunnel.listener.stats().handshakes, 0);
});

tunnelTest('a TLS session is never resumed', async (scene) => {
  const tunnel = await scene.openTunnel();
  const tls = await workerTls(scene.identity);
  const first = await openTls(tunnel.port, tls);
  first.socket.resume();
  // OpenSSL hands tickets out whatever the options say; nothing can be bought for them.
  const session = await new Promise<Buffer>((resolve) => first.socket.once('session', resolve));
  // What is written inside the session event stays in Node's TLS until something else is written.
  await new Promise((resolve) => setImmediate(resolve));
  first.socket.write(GARBAGE);
  await first.closed;
  const second = await openTls(tunnel.port, { ...tls, session });
  assert.equal(second.socket.isSessionReused(), false);
  second.socket.destroy();
  await second.closed;
});

tunnelTest(
  'garbage, a frame that never ends, and an oversized hello are answered with the code and closed',
  async (scene) => {
    const tunnel = await scene.openTunnel();
    const tls = await workerTls(scene.identity);
    for (const bytes of [randomBytes(64), Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.alloc(10, 0xff)]) {
      const { socket, closed } = await openTls(tunnel.port, tls);
      socket.resume();
      socket.write(bytes);
      await closed;
    }
    const big = makeHello({ ...HELLO, agent: 'x'.repeat(100) }) as Message & { more?: string };
    big.more = 'y'.repeat(5_000);
    const worker = await openRawWorker(tunnel.port, tls, big);
    assert.equal((await worker.closed)?.code, 'frame_too_large');
    assert.equal(tunnel.listener.stats().sessions, 0);
  },
);

tunnelTest('silence before and after TLS, and half a hello, end at their deadline', async (scene) => {
  const clock = createManualClock();
  const tunnel = await scene.openTunnel({ clock });
  const tls = await workerTls(scene.identity);
  const silent = await openTcp(tunnel.port);
  const secured = await openTls(tunnel.port, tls);
  const half = await openTls(tunnel.port, tls);
  half.socket.write(Buffer.from([0, 0, 0, 50, 1]));
  await eventually(() => tunnel.listener.stats().handshakes === 3);
  clock.advance(4_999);
  assert.equal(tunnel.listener.stats().handshakes, 3);
  clock.advance(1);
  await Promise.all([silent.closed, secured.closed, half.closed]);
  await eventually(() => tunnel.listener.stats().handshakes === 0);
  // The manual clock leaves a session's timers, so it is looked at while everything still stands.
  await tunnel.listener.stop();
  assert.equal(clock.timerCount, 0);
});

tunnelTest('a flood of silent connections from one address keeps no worker out', async (scene) => {
  const config = { maxHandshakes: 8, maxHandshakesPerAddress: 4, maxWaitingHandshakes: 8 };
  const tunnel = await scene.openTunnel({ config });
  const flood = await Promise.all(Array.from({ length: 60 }, () => openTcp(tunnel.port, '127.0.0.2')));
  scene.onEnd(() => flood.map(({ socket }) => socket.destroy()));
  await eventually(() => flood.filter(({ socket }) => socket.destroyed).length === 52);
  const { handshakes, waiting, refused } = tunnel.listener.stats();
  assert.deepEqual([handshakes, waiting, refused.overloaded], [4, 4, 52]);
  await scene.openLink(tunnel);
  await sessionOf(tunnel);
});

tunnelTest('who waits for a place gets it when one is free, and is dropped when it waited too long', async (scene) => {
  const clock = createManualClock();
  const config = { maxHandshakes: 1, maxHandshakesPerAddress: 1, maxWaitingHandshakes: 4 };
  const tunnel = await scene.openTunnel({ clock, config });
  const first = await openTcp(tunnel.port);
  const second = await openTcp(tunnel.port);
  const third = await openTcp(tunnel.port);
  await eventually(() => tunnel.listener.stats().waiting === 2);
  first.socket.destroy();
  await eventually(() => tunnel.listener.stats().waiting === 1);
  second.socket.destroy();
  await eventually(() => tunnel.listener.stats().waiting === 0 && tunnel.listener.stats().handshakes === 1);
  const fourth = await openTcp(tunnel.port);
  await eventually(() => tunnel.listener.stats().waiting === 1);
  clock.advance(5_000);
  await third.closed;
  await eventually(() => tunnel.listener.stats().handshakes === 1);
  clock.advance(12_000);
  await fourth.closed;
});

tunnelTest('a hello that makes no sense is refused with its reason', async (scene) => {
  const tunnel = await scene.openTunnel();
  const tls = await workerTls(scene.identity);
  const hello = makeHello(HELLO);
  const cases: [Message, string][] = [
    [{ type: 'grant', model: 'echo', version: '1', rows: 1 }, 'protocol_error'],
    [{ ...hello, versions: [2, 3] }, 'version_mismatch'],
    [{ ...hello, epoch: 0 }, 'message_invalid'],
    [{ ...hello, role: 'data', ticket: 'x'.repeat(32) }, 'handshake_refused'],
    [{ ...hello, role: 'data' }, 'handshake_refused'],
  ];
  for (const [first, code] of cases) {
    const worker = await openRawWorker(tunnel.port, tls, first);
    assert.equal((await worker.closed)?.code, code, JSON.stringify(first));
  }
  assert.equal(tunnel.listener.stats().sessions, 0);
});

/** A worker with a session. */
async function openWorker(
  tunnel: Tunnel,
  tls: ConnectionOptions,
  changes: Partial<typeof HELLO> = {},
): Promise<RawWorker> {
  const worker = await openRawWorker(tunnel.port, tls, makeHello({ ...HELLO, ...changes }));
  await worker.next('welcome');
  return worker;
}

tunnelTest(
  'a data connection needs the ticket, the name, the session and the epoch of a live session',
  async (scene) => {
    const tunnel = await scene.openTunnel();
    const tls = await workerTls(scene.identity);
    const control = await openWorker(tunnel, tls);
    const { ticket } = await control.next('welcome');
    const data = { ...HELLO, role: 'data', ticket } as const;
    const wrong: [string, typeof data, ConnectionOptions][] = [
      ['ticket', { ...data, ticket: 'A'.repeat(ticket.length) }, tls],
      ['session', { ...data, session: 'session-2' }, tls],
      ['epoch', { ...data, epoch: 2 }, tls],
      ['certificate', data, await workerTls(scene.identity, 'gpu-2')],
    ];
    for (const [name, fields, options] of wrong) {
      const worker = await openRawWorker(tunnel.port, options, makeHello(fields));
      assert.equal((await worker.closed)?.code, 'handshake_refused', name);
    }
    const many: RawWorker[] = [];
    for (let n = 0; n < 7; n += 1) {
      many.push(await openRawWorker(tunnel.port, tls, makeHello(data)));
      await many.at(-1)?.next('welcome');
    }
    const tooMany = await openRawWorker(tunnel.port, tls, makeHello(data));
    assert.equal((await tooMany.closed)?.code, 'overloaded');
    assert.equal(tunnel.listener.stats().dataConnections, 7);
    control.connection.destroy();
    await Promise.all(many.map(({ closed }) => closed));
    assert.equal(tunnel.listener.stats().dataConnections, 0);
  },
);

tunnelTest('a stale epoch is refused and the session in force stays', async (scene) => {
  const tunnel = await scene.openTunnel();
  const tls = await workerTls(scene.identity);
  const control = await openWorker(tunnel, tls, { epoch: 5 });
  for (const epoch of [5, 4, 1]) {
    const worker = await openRawWorker(tunnel.port, tls, makeHello({ ...HELLO, epoch }));
    assert.equal((await worker.closed)?.code, 'superseded');
  }
  assert.equal(tunnel.listener.stats().sessions, 1);
  const newer = await openWorker(tunnel, tls, { epoch: 6 });
  assert.equal((await control.closed)?.code, 'superseded');
  newer.connection.destroy();
  await eventually(() => tunnel.listener.stats().sessions === 0);
  const stale = await openRawWorker(tunnel.port, tls, makeHello({ ...HELLO, epoch: 6 }));
  assert.equal((await stale.closed)?.code, 'superseded', 'remembered after the session is gone');
});

tunnelTest('two workers may name their sessions alike without touching each other', async (scene) => {
  const tunnel = await scene.openTunnel();
  await openWorker(tunnel, await workerTls(scene.identity, 'gpu-1'));
  await openWorker(tunnel, await workerTls(scene.identity, 'gpu-2'));
  const [first, second] = [await sessionOf(tunnel, 1), await sessionOf(tunnel, 2)];
  assert.notEqual(first.id, second.id);
  assert.equal(tunnel.listener.stats().sessions, 2);
});

tunnelTest('messages that are not a worker’s to send end the session', async (scene) => {
  const tunnel = await scene.openTunnel();
  const tls = await workerTls(scene.identity);
  const limits = makeHello(HELLO).limits;
  const notYours: Message[] = [
    { type: 'assign', job: 'j', attempt: 1, model: 'm', version: '1', rows: 1, contentType: 'a/b', bytes: 0 },
    { type: 'ack', attempts: [['j', 1]] },
    { type: 'cancel', job: 'j', attempt: 1, reason: 'caller' },
    { type: 'drained' },
    { type: 'probe_request', bytes: 1 },
    makeHello({ ...HELLO, epoch: 99 }),
    {
      type: 'welcome',
      version: 1,
      ticket: 'x'.repeat(16),
      worker: 'a',
      gateway: 'b',
      agent: 'c',
      limits,
      pingMs: 1,
      deadMs: 2,
      leaseMs: 3,
      gateways: [],
    },
  ];
  for (const [i, message] of notYours.entries()) {
    const worker = await openWorker(tunnel, tls, { epoch: i + 1 });
    worker.connection.send(message);
    assert.equal((await worker.closed)?.code, 'protocol_error', message.type);
    assert.equal((await onGateway(tunnel, 'onClose', i + 1))[1]?.code, 'protocol_error', message.type);
  }
});

tunnelTest('control messages on a data connection end the session', async (scene) => {
  const tunnel = await scene.openTunnel();
  const tls = await workerTls(scene.identity);
  const control = await openWorker(tunnel, tls);
  const { ticket } = await control.next('welcome');
  const data = await openWorker(tunnel, tls, { role: 'data', ticket });
  data.connection.send({ type: 'grant', model: 'echo', version: '1', rows: 1 });
  assert.equal((await control.closed)?.code, 'protocol_error');
  await data.closed;
  assert.equal(tunnel.journal.entries.filter(({ type }) => type === 'onGrant').length, 0);
});

tunnelTest('a link check is served within its bounds and closed beyond them', async (scene) => {
  const tunnel = await scene.openTunnel({ config: { maxProbes: 1 } });
  const tls = await workerTls(scene.identity);
  const probe = await openWorker(tunnel, tls, { role: 'probe' });
  probe.connection.send({ type: 'probe', bytes: 1_000_000 }, Buffer.alloc(1_000_000));
  assert.equal((await probe.next('probe_report')).received, 1_000_000);
  probe.connection.send({ type: 'probe_request', bytes: 2_000_000 });
  await probe.received.find((message) => message.type === 'probe_report' && message.bytes === 2_000_000);
  const second = await openRawWorker(tunnel.port, tls, makeHello({ ...HELLO, role: 'probe' }));
  assert.equal((await second.closed)?.code, 'overloaded');
  probe.connection.send({ type: 'probe_request', bytes: 8 * 1024 * 1024 + 1 });
  assert.equal((await probe.closed)?.code, 'protocol_error');
  assert.equal(tunnel.journal.entries.length, 0, 'the engine never hears of a link check');
});

tunnelTest('a gateway full of workers refuses one more, and takes back one that it knows', async (scene) => {
  const tunnel = await scene.openTunnel({ config: { maxSessions: 2 } });
  const tls = await Promise.all(['gpu-1', 'gpu-2', 'gpu-3'].map((name) => workerTls(scene.identity, name)));
  const [first] = [await openWorker(tunnel, tls[0] ?? {}), await openWorker(tunnel, tls[1] ?? {})];
  const third = await openRawWorker(tunnel.port, tls[2] ?? {}, makeHello(HELLO));
  assert.equal((await third.closed)?.code, 'overloaded');
  await openWorker(tunnel, tls[0] ?? {}, { epoch: 2 });
  assert.equal((await first.closed)?.code, 'superseded');
});

async function strangerIdentity(scene: Scene) {
  const folder = await mkdtemp(join(tmpdir(), 'postern-stranger-'));
  scene.onEnd(() => rm(folder, { recursive: true }));
  return openIdentity({ folder, hosts: [], clock: systemClock });
}
