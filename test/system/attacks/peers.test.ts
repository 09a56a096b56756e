/** Attacks on what gateways pass on to each other: the internal port, and its header where it must mean nothing. Real TLS and HTTP. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { suite, test } from 'node:test';
import { Socket, type AddressInfo } from 'node:net';
import { connect } from 'node:tls';
import { systemClock } from '../../../src/clock.ts';
import { createForwarder } from '../../../src/gateway/http/forward.ts';
import { encodeAccess, FORWARDED_HEADER, markPeer } from '../../../src/gateway/http/forwarded.ts';
import type { Call } from '../../../src/gateway/http/route.ts';
import type { Peers } from '../../../src/gateway/cluster/peer.ts';
import { makeKeyPem, selfSign } from '../../../src/identity/certificate.ts';
import { createKey } from '../../../src/identity/keys/records.ts';
import { createPeerCertificate } from '../../../src/identity/peer-certificate.ts';
import { silentLogger } from '../../../src/logger.ts';
import { DAY_MS, openIdentityScene } from '../../support/identity-scene.ts';
import { attackTable, type Attack } from './attack.ts';
import { openFarGateway } from './far-gateway.ts';
import { CALLER, openPeerStage, type PeerStage } from './peer-stage.ts';

const INFER = '/v2/models/plants/infer';
const url = (value: string) => [{ type: 'url', value }] as const;
const intrude = async (stage: PeerStage, changes: Parameters<PeerStage['forge']>[0], now?: number): Promise<string> =>
  stage.ask(await stage.forge(changes, now), INFER, CALLER);

const loading: PeerStage['running']['fake']['report'] = (model) => {
  const report = { name: model, version: '1', state: 'loading', kind: 'value', maxRows: 1 } as const;
  return { report, ready: false, isFree: false };
};

const strangers: Attack<PeerStage>[] = [
  { name: 'no certificate', expected: 'no connection', attack: (stage) => stage.ask({}, INFER, CALLER) },
  {
    name: 'a worker’s certificate',
    expected: 'no connection',
    async attack(stage) {
      const { key, cert } = (await stage.scene.join('gpu-1')).tls;
      return stage.ask({ key, cert }, INFER, CALLER);
    },
  },
  {
    name: 'the certificate of a gateway’s tunnel port',
    expected: 'no connection',
    attack(stage) {
      const { keyPem, certPem } = stage.scene.identity.pki.tls;
      return stage.ask({ key: keyPem, cert: certPem }, INFER, CALLER);
    },
  },
  {
    name: 'a gateway’s certificate of another authority',
    expected: 'no connection',
    async attack(stage) {
      const other = await openIdentityScene();
      const made = createPeerCertificate({
        id: 'far-1',
        identity: other.identity,
        clock: systemClock,
        logger: silentLogger,
      });
      await made.start();
      const { keyPem, certPem } = made.tls!;
      await made.stop();
      await other.close();
      return stage.ask({ key: keyPem, cert: certPem }, INFER, CALLER);
    },
  },
  {
    name: 'a certificate that signed itself',
    expected: 'no connection',
    async attack(stage) {
      const key = makeKeyPem();
      return stage.ask({ key, cert: await selfSign(key, 'far-1', Date.now(), DAY_MS) }, INFER, CALLER);
    },
  },
  {
    name: 'a gateway’s name, but a worker’s purpose',
    expected: 'no connection',
    attack: (stage) => intrude(stage, { purpose: 'clientAuth' }),
  },
  {
    name: 'both purposes, but a worker’s name',
    expected: 'no connection',
    attack: (stage) => intrude(stage, { names: url('postern://worker/gpu-1') }),
  },
  {
    name: 'a gateway’s name beside another one',
    expected: 'no connection',
    attack: (stage) =>
      intrude(stage, { names: [...url('postern://gateway/far-1'), ...url('postern://gateway/far-2')] }),
  },
  {
    name: 'a name that is none',
    expected: 'no connection',
    attack: (stage) => intrude(stage, { names: url('postern://gateway/../near') }),
  },
  { name: 'expired', expected: 'no connection', attack: (stage) => intrude(stage, {}, Date.now() - 2 * DAY_MS) },
  {
    name: 'TLS 1.2',
    expected: 'no connection',
    attack: async (stage) => stage.ask({ ...(await stage.forge()), maxVersion: 'TLSv1.2' }, INFER, CALLER),
  },
];

const gateways: Attack<PeerStage>[] = [
  {
    name: 'a request that says of nobody whose it is',
    attack: async (stage: PeerStage) => stage.ask(await stage.forge(), INFER),
  },
  ...['', '{}', 'AAAA', Buffer.from('{"caller":"","admin":true}').toString('base64url')].map((header, n) => ({
    name: `a caller that cannot be read (${n + 1})`,
    attack: async (stage: PeerStage) => stage.ask(await stage.forge(), INFER, { 'x-postern-forwarded': header }),
  })),
  ...[
    '/v1/predictions',
    '/v1/admin/keys',
    '/v1/files',
    '/metrics',
    '/livez',
    '/',
    '/v2/models/plants/infer/../../x',
  ].map((path) => ({
    name: `something that is not passed on: ${path}`,
    attack: async (stage: PeerStage) => stage.ask(await stage.forge(), path, CALLER),
  })),
].map((one) => ({ ...one, expected: 'forbidden' }));

const callers: Attack<PeerStage>[] = [
  {
    name: 'a caller of the public port who says that another gateway let them in',
    expected: 'unauthorized',
    async attack({ running }) {
      createKey(running.records, { name: 'somebody' }, { actor: 'test', at: Date.now() });
      const path = '/v1/models/local/plants/predictions';
      const response = await fetch(running.base + path, { method: 'POST', body: 'x', headers: CALLER });
      return /"code":"(\w+)"/.exec(await response.text())?.[1] ?? 'none';
    },
  },
  {
    name: 'a request that another gateway passed on already, and that nobody here can serve: it goes no further',
    expected: 'no_worker',
    async attack(stage) {
      stage.running.fake.report = loading;
      const tls = await stage.forge();
      return stage.ask(tls, INFER, CALLER);
    },
  },
];

attackTable('the port for gateways: strangers', openPeerStage, strangers);
attackTable('the port for gateways: what even a gateway may not ask for', openPeerStage, gateways);
attackTable('forwarded requests', openPeerStage, callers);

void suite('who is dialled', () => {
  test('the right address with another gateway behind it gets nothing', async () => {
    const stage = await openPeerStage();
    const far = await openFarGateway(stage, ['somebody-else', 'near']);
    const outcomes = new Map<string, string>();
    for (const peer of far.peers.choose('plants', null, 'none')) {
      const headers = Object.entries({ ...CALLER, host: 'x' }).flat();
      const asked = peer.request('plants', { method: 'POST', path: INFER, headers });
      const outcome = await new Promise<string>((resolve) => {
        asked.on('error', (error) => resolve(error.message));
        asked.on('response', (response) => resolve(String(response.resume().statusCode)));
        asked.end();
      });
      outcomes.set(peer.id, outcome);
    }
    assert.match(outcomes.get('somebody-else') ?? '', /is not the gateway somebody-else/);
    assert.equal(outcomes.get('near'), '400', 'an inference without a body');
    await far.close();
    await stage.close();
  });

  test('a refusal that nobody gets leaves the connection for the next request', async (t) => {
    const stage = await openPeerStage();
    t.after(() => stage.close());
    stage.running.fake.report = loading;
    const far = await openFarGateway(stage, ['near']);
    t.after(() => far.close());
    const forwarder = createForwarder({ peers: far.peers, clock: systemClock });
    const passed = { model: 'plants', body: Buffer.from('{}'), repeatable: true };
    const server = createServer((request, response) => {
      const access = { caller: 'key-1', admin: false, models: null, maxUndecidedJobs: null };
      const call = { request, response, access, id: 'x' } as unknown as Call;
      void forwarder
        .instead(call, { version: null, room: 'none' }, passed)
        ?.then((answer) => response.end(String(answer?.status ?? 'nobody')));
    });
    server.listen(0, '127.0.0.1');
    t.after(() => server.close().closeAllConnections());
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${INFER}`;
    for (const count of [1, 2, 3]) {
      assert.equal(await (await fetch(url, { method: 'POST', body: '{}' })).text(), 'nobody');
      assert.equal(forwarder.counts.refused, count);
    }
    assert.equal(stage.taken, 1);
  });

  test('headers that a gateway lets in are not too large for the next one', async (t) => {
    const stage = await openPeerStage();
    t.after(() => stage.close());
    const named = Array.from({ length: 64 }, (_, n) => `${n}`.padStart(64, 'm'));
    const models = new Set(['plants', ...named.slice(1)]);
    const access = encodeAccess({ caller: 'k'.repeat(200), admin: false, models, maxUndecidedJobs: 1_000_000 });
    const tls = await stage.forge();
    const large = { 'x-large': 'x'.repeat(16_000) };
    const plain = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(`${stage.running.base}${INFER}`, { method: 'POST', headers })).status;
    assert.equal(await plain(large), 400, 'an inference without a body');
    assert.equal(
      await stage.ask(tls, INFER, { ...large, [FORWARDED_HEADER]: access }),
      await stage.ask(tls, INFER, CALLER),
    );
    const tooLarge = { ...CALLER, 'x-large': 'x'.repeat(32_000) };
    assert.equal(await stage.ask(tls, INFER, tooLarge), 'headers_too_large');
    assert.equal(await plain({ 'x-large': 'x'.repeat(17_000) }), 431, 'those of callers have the limit that they had');
  });

  test('nobody, for a request that was passed on already', async () => {
    const asked: string[] = [];
    const peers: Peers = {
      choose: (model) => (asked.push(model), []),
      holders: (model) => (asked.push(model), []),
    };
    const forwarder = createForwarder({ peers, clock: systemClock });
    const socket = new Socket();
    markPeer(socket, 'far-1');
    const call = { request: { socket } } as never;
    const passed = { model: 'plants', body: null, repeatable: true };
    assert.equal(forwarder.instead(call, { version: null, room: 'none' }, passed), null);
    assert.equal(await forwarder.follow(call, 'plants'), null);
    assert.deepEqual(asked, []);
  });

  test('sessions of TLS are not resumed', async () => {
    const stage = await openPeerStage();
    const tls = { ...(await stage.forge()), port: stage.port, host: '127.0.0.1', checkServerIdentity: () => undefined };
    const tickets: Buffer[] = [];
    const socket = connect(tls);
    socket.on('session', (session) => tickets.push(session));
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    socket.end('GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n').resume();
    await new Promise((resolve) => socket.once('close', resolve));
    const again = connect({ ...tls, ...(tickets[0] === undefined ? {} : { session: tickets[0] }) });
    await new Promise((resolve) => again.once('secureConnect', resolve));
    assert.equal(again.isSessionReused(), false);
    again.destroy();
    await stage.close();
  });
});
