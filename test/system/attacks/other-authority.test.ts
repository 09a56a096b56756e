/** A gateway with the certificates of an authority that a team has already: who comes in, and every way not to. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ConnectionOptions } from 'node:tls';
import { systemClock } from '../../../src/clock.ts';
import { createWorkerListener } from '../../../src/gateway/listener.ts';
import type { SessionEvents } from '../../../src/gateway/worker-ports.ts';
import { makeKeyPem, makeRequest } from '../../../src/identity/certificate.ts';
import { silentLogger } from '../../../src/logger.ts';
import { makeHello } from '../../../src/protocol/hello.ts';
import { ENROL_ALPN } from '../../../src/protocol/limits.ts';
import { DAY_MS, openIdentityScene, type IdentityScene } from '../../support/identity-scene.ts';
import { needsProgram } from '../../support/needs.ts';
import { makeOpensslAuthority, makeOpensslLeaf, revokeOpensslLeaf, type OpensslKey } from '../../support/openssl.ts';
import { PosternSystem, untilModel } from '../../support/postern.ts';
import { HELLO, openRawWorker } from '../../support/raw-peer.ts';
import { attackTable, type AttackStage } from './attack.ts';

const GATEWAY_NAME = 'gateway.example.org';
const CLIENT = 'extendedKeyUsage=clientAuth';
const SERVER = 'extendedKeyUsage=serverAuth';
const named = (...names: readonly string[]): string =>
  `subjectAltName=${names.map((name) => `URI:postern://worker/${name}`).join(',')}`;

interface Stage extends AttackStage {
  readonly scene: IdentityScene;
  readonly folder: string;
  readonly port: number;
  /** A certificate of the authority with this common name and these extensions, as TLS settings. */
  leaf(commonName: string, ...extensions: readonly string[]): ConnectionOptions;
  /** Connects, says hello, and gives the code by which the gateway refused; `none` when it opened a session. */
  connect(tls: ConnectionOptions): Promise<string>;
  /** The code by which a question to the enrolment was refused. */
  enrol(request: string): Promise<string>;
}

async function openStage(names: 'uri' | 'cn' = 'uri', kind: OpensslKey = 'ec', crlOf?: string): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-other-authority-'));
  makeOpensslAuthority(folder, kind);
  makeOpensslLeaf(folder, 'gateway', kind, 'gateway', [SERVER, `subjectAltName=DNS:${GATEWAY_NAME}`]);
  if (crlOf !== undefined) {
    makeOpensslLeaf(folder, crlOf, kind, crlOf, [CLIENT, named(crlOf)]);
    revokeOpensslLeaf(folder, crlOf);
  }
  const scene = await openIdentityScene({ foreign: { folder, names } });
  scene.identity.workers.allow('gpu-1', new Set(['echo']), { actor: 'test', at: 1 });
  const opened: string[] = [];
  const events = new Proxy({} as SessionEvents, { get: (_, name) => () => opened.push(String(name)) });
  const listener = createWorkerListener({
    config: { host: '127.0.0.1', port: 0, gateway: 'test', leaseMs: 30_000 },
    identity: scene.identity,
    events,
    logger: silentLogger,
    clock: systemClock,
  });
  await listener.start();
  const ca = readFileSync(join(folder, 'ca.pem'), 'utf8');
  const towards = { ca, servername: GATEWAY_NAME };
  let leaves = 0;
  let epoch = 0;

  return {
    scene,
    folder,
    port: listener.port,
    leaf(commonName, ...extensions) {
      const file = `leaf-${(leaves += 1)}`;
      makeOpensslLeaf(folder, file, kind, commonName, extensions);
      return tlsOf(folder, file);
    },
    async connect(tls) {
      const before = { ...listener.stats().refused };
      epoch += 1;
      const worker = await openRawWorker(listener.port, { ...towards, ...tls }, makeHello({ ...HELLO, epoch }));
      const answer = await Promise.race([
        worker.next('welcome').then(() => 'none'),
        worker.closed.then(() => 'closed'),
      ]);
      const after = listener.stats().refused;
      worker.connection.destroy();
      if (answer === 'none') return 'none';
      return Object.keys(after).find((code) => after[code] !== before[code]) ?? 'closed, and not counted';
    },
    async enrol(request) {
      const first = { type: 'join', token: `a.${'b'.repeat(43)}`, request } as const;
      const asked = await openRawWorker(listener.port, { ...towards, ALPNProtocols: [ENROL_ALPN] }, first);
      return (await asked.closed)?.code ?? 'none';
    },
    assertNothingHeard: () => assert.deepEqual(opened, [], 'no session heard of it'),
    async close() {
      await listener.stop();
      await scene.close();
      rmSync(folder, { recursive: true });
    },
  };
}

function tlsOf(folder: string, file: string): ConnectionOptions {
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
  return { key: read(`${file}.key`), cert: read(`${file}.pem`) };
}

const skip = needsProgram('openssl');

if (skip === false) {
  attackTable<Stage>('certificates of another authority', openStage, [
    { name: 'no certificate', expected: 'handshake_refused', attack: (stage) => stage.connect({}) },
    {
      name: 'a worker that nobody allowed',
      expected: 'handshake_refused',
      attack: (stage) => stage.connect(stage.leaf('gpu-2', CLIENT, named('gpu-2'))),
    },
    {
      name: 'a worker that was revoked here, with a certificate that its authority still stands by',
      expected: 'worker_revoked',
      attack(stage) {
        stage.scene.identity.workers.revoke('gpu-1', { actor: 'test', at: 2 });
        return stage.connect(stage.leaf('gpu-1', CLIENT, named('gpu-1')));
      },
    },
    {
      name: 'its name in the common name alone',
      expected: 'handshake_refused',
      attack: (stage) => stage.connect(stage.leaf('gpu-1', CLIENT)),
    },
    {
      name: 'its name as a host name',
      expected: 'handshake_refused',
      attack: (stage) => stage.connect(stage.leaf('gpu-1', CLIENT, 'subjectAltName=DNS:gpu-1')),
    },
    {
      name: 'the names of two workers',
      expected: 'handshake_refused',
      attack: (stage) => stage.connect(stage.leaf('gpu-1', CLIENT, named('gpu-1', 'gpu-2'))),
    },
    {
      name: 'a name that begins like it and is none',
      expected: 'handshake_refused',
      attack: (stage) => stage.connect(stage.leaf('gpu-1', CLIENT, named('gpu-1/../gpu-2'))),
    },
    {
      name: 'the purpose of a server',
      expected: 'handshake_refused',
      attack: (stage) => stage.connect(stage.leaf('gpu-1', SERVER, named('gpu-1'))),
    },
    {
      name: 'no purpose at all',
      expected: 'handshake_refused',
      attack: (stage) => stage.connect(stage.leaf('gpu-1', named('gpu-1'))),
    },
    {
      name: 'an authority below the authority',
      expected: 'handshake_refused',
      attack: (stage) =>
        stage.connect(stage.leaf('gpu-1', CLIENT, named('gpu-1'), 'basicConstraints=critical,CA:TRUE')),
    },
    {
      name: 'the gateway’s own certificate',
      expected: 'handshake_refused',
      attack: (stage) => stage.connect(tlsOf(stage.folder, 'gateway')),
    },
    {
      name: 'ended since the gateway’s clock went on',
      expected: 'handshake_refused',
      attack(stage) {
        stage.scene.clock.aheadMs = 8 * DAY_MS;
        return stage.connect(stage.leaf('gpu-1', CLIENT, named('gpu-1')));
      },
    },
    {
      name: 'a certificate of a third authority, with the right name',
      expected: 'handshake_refused',
      async attack(stage) {
        const third = await openStage();
        const tls = third.leaf('gpu-1', CLIENT, named('gpu-1'));
        await third.close();
        return stage.connect(tls);
      },
    },
    {
      name: 'a certificate of an installation of Postern, with the right name',
      expected: 'handshake_refused',
      async attack(stage) {
        const other = await openIdentityScene();
        const { key, cert } = (await other.join('gpu-1')).tls;
        await other.close();
        return stage.connect({ key, cert });
      },
    },
    {
      name: 'a request to be given a certificate here',
      expected: 'enrolment_refused',
      attack: async (stage) => stage.enrol(await makeRequest(makeKeyPem(), 'gpu-1')),
    },
  ]);

  attackTable<Stage>('a certificate that its authority has taken back', () => openStage('uri', 'ec', 'gpu-1'), [
    {
      name: 'named in crl.pem',
      expected: 'handshake_refused',
      attack: (stage) => stage.connect(tlsOf(stage.folder, 'gpu-1')),
    },
  ]);

  attackTable<Stage>('names by common name', () => openStage('cn'), [
    {
      name: 'an alternative name beside the common name of nobody',
      expected: 'handshake_refused',
      attack: (stage) => stage.connect(stage.leaf('nobody', CLIENT, named('gpu-1'))),
    },
    {
      name: 'two common names',
      expected: 'handshake_refused',
      attack: (stage) => stage.connect(stage.leaf('gpu-2/CN=gpu-1', CLIENT)),
    },
    {
      name: 'a common name that is no worker’s name',
      expected: 'handshake_refused',
      attack: (stage) => stage.connect(stage.leaf('GPU-1', CLIENT)),
    },
  ]);
}

for (const kind of ['ec', 'rsa'] as const) {
  for (const names of ['uri', 'cn'] as const) {
    void test(`${kind} certificates that name workers by ${names} open a session`, { skip }, async () => {
      const stage = await openStage(names, kind);
      try {
        const tls = names === 'cn' ? stage.leaf('gpu-1', CLIENT) : stage.leaf('whoever', CLIENT, named('gpu-1'));
        assert.equal(await stage.connect(tls), 'none');
        // May say more than an own authority would write.
        const more = stage.leaf('gpu-1', `${CLIENT},serverAuth`, `${named('gpu-1')},DNS:gpu.example.org`);
        assert.equal(await stage.connect(more), 'none');
      } finally {
        await stage.close();
      }
    });
  }
}

void test(
  'a folder of files that a team has serves predictions, gateway and worker being real processes',
  { skip, timeout: 120_000 },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'postern-ssl-'));
    makeOpensslAuthority(folder, 'rsa');
    makeOpensslLeaf(folder, 'gateway', 'ec', 'gateway', [SERVER, `subjectAltName=DNS:${GATEWAY_NAME}`]);
    makeOpensslLeaf(folder, 'worker', 'rsa', 'gpu-1', [CLIENT]);
    const system = new PosternSystem({ env: { POSTERN_PKI_DIR: folder, POSTERN_PKI_NAMES: 'cn' } });
    t.after(async () => {
      await system.remove();
      rmSync(folder, { recursive: true });
    });
    system.command('gateway', ['allow', 'gpu-1', '--models', 'echo']);
    const gateway = await system.gateway();
    const worker = system.worker(gateway, folder, { POSTERN_GATEWAY_NAME: GATEWAY_NAME });
    await untilModel(gateway.url, 'echo');
    const response = await fetch(`${gateway.url}/v1/models/local/echo/predictions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'wait=30' },
      body: '{"input":"x"}',
    });
    assert.equal(((await response.json()) as { status: string }).status, 'succeeded');
    await worker.stop();
  },
);
