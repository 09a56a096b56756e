/** Attacks on the identity of workers: certificates, tokens, requests for certificates. Real TLS, records and authority. */
import { generateKeyPairSync } from 'node:crypto';
import { systemClock } from '../../../src/clock.ts';
import type { PosternError } from '../../../src/errors.ts';
import { makeKeyPem, makeRequest, selfSign } from '../../../src/identity/certificate.ts';
import type { AlternativeName } from '../../../src/identity/certificate.ts';
import { makeHello } from '../../../src/protocol/hello.ts';
import { fetchAuthority } from '../../../src/worker/enrol.ts';
import { opensslRequest } from '../../support/openssl.ts';
import { DAY_MS, openIdentityScene } from '../../support/identity-scene.ts';
import { eventually } from '../../support/leaks.ts';
import { HELLO, openRawWorker, openTcp, openTls } from '../../support/raw-peer.ts';
import { attackTable } from './attack.ts';
import type { Attack } from './attack.ts';
import { openTunnelStage } from './tunnel-stage.ts';
import type { TunnelStage } from './tunnel-stage.ts';

const uris = (...values: string[]): AlternativeName[] => values.map((value) => ({ type: 'url', value }));

/** Connects as a worker that greets, and gives the code of the gateway's close. */
async function greet({ port }: TunnelStage, tls: object): Promise<string> {
  const worker = await openRawWorker(port, tls, makeHello(HELLO));
  return (await worker.closed)?.code ?? 'none';
}

async function joinWith(stage: TunnelStage, request: string, secret = stage.scene.invite('gpu-2')): Promise<string> {
  return stage.enrol({ type: 'join', token: secret, request });
}

const goodRequest = (name = 'gpu-2'): Promise<string> => makeRequest(makeKeyPem(), name);

const certificates: Attack<TunnelStage>[] = [
  { name: 'no certificate', expected: 'handshake_refused', attack: (stage) => stage.intrude({}) },
  {
    name: 'a certificate of another authority',
    expected: 'handshake_refused',
    async attack(stage) {
      const other = await openIdentityScene();
      const { key, cert } = (await other.join('gpu-1')).tls;
      await other.close();
      return stage.intrude({ key, cert });
    },
  },
  {
    name: 'a certificate that signed itself',
    expected: 'handshake_refused',
    async attack(stage) {
      const key = makeKeyPem();
      return stage.intrude({ key, cert: await selfSign(key, 'gpu-1', Date.now(), DAY_MS) });
    },
  },
  {
    name: 'expired',
    expected: 'handshake_refused',
    attack: async (stage) => stage.intrude(await stage.forge({}, Date.now() - 2 * DAY_MS)),
  },
  {
    name: 'not yet valid',
    expected: 'handshake_refused',
    attack: async (stage) => stage.intrude(await stage.forge({}, Date.now() + DAY_MS)),
  },
  {
    name: 'the purpose of a server',
    expected: 'handshake_refused',
    attack: async (stage) => stage.intrude(await stage.forge({ purpose: 'serverAuth' })),
  },
  {
    name: 'the gateway’s own certificate',
    expected: 'handshake_refused',
    attack: (stage) => stage.intrude({ key: stage.scene.identity.tls.keyPem, cert: stage.scene.identity.tls.certPem }),
  },
  {
    name: 'a host name for a worker’s name',
    expected: 'handshake_refused',
    attack: async (stage) => stage.intrude(await stage.forge({ names: [{ type: 'dns', value: 'gpu-1' }] })),
  },
  {
    name: 'a name of another scheme',
    expected: 'handshake_refused',
    attack: async (stage) => stage.intrude(await stage.forge({ names: uris('spiffe://worker/gpu-1') })),
  },
  {
    name: 'two names',
    expected: 'handshake_refused',
    attack: async (stage) =>
      stage.intrude(await stage.forge({ names: uris('postern://worker/gpu-1', 'postern://worker/gpu-2') })),
  },
  {
    name: 'a path in the name',
    expected: 'handshake_refused',
    attack: async (stage) => stage.intrude(await stage.forge({ names: uris('postern://worker/gpu-1/../gpu-2') })),
  },
  {
    name: 'a name that hides another in a quoted one',
    expected: 'handshake_refused',
    attack: async (stage) =>
      stage.intrude(await stage.forge({ names: uris('x:y, URI:postern://worker/gpu-1, URI:z:') })),
  },
  {
    name: 'another worker’s name, from the right authority, but never given out',
    expected: 'handshake_refused',
    attack: async (stage) => greet(stage, await stage.forge({})),
  },
  {
    name: 'a worker that nobody invited',
    expected: 'handshake_refused',
    attack: async (stage) => greet(stage, await stage.forge({ names: uris('postern://worker/gpu-9') })),
  },
  {
    name: 'TLS 1.2',
    expected: 'handshake_refused',
    attack: (stage) => stage.intrude({ ...stage.good.tls, maxVersion: 'TLSv1.2' }),
  },
  {
    name: 'no application protocol',
    expected: 'version_mismatch',
    attack: (stage) => stage.intrude({ ...stage.good.tls, ALPNProtocols: undefined }),
  },
  {
    name: 'another application protocol',
    expected: 'handshake_refused',
    attack: (stage) => stage.intrude({ ...stage.good.tls, ALPNProtocols: ['h2'] }),
  },
  {
    name: 'a TLS session of a good worker, resumed without its certificate',
    expected: 'handshake_refused',
    async attack(stage) {
      const first = await openTls(stage.port, stage.good.tls);
      first.socket.resume();
      const session = await new Promise<Buffer>((resolve) => first.socket.once('session', resolve));
      first.socket.destroy();
      await first.closed;
      await eventually(() => stage.listener.stats().refused.connection_lost === 1);
      const { ca } = stage.good.tls;
      return stage.intrude({ ca, session });
    },
  },
  {
    name: 'revoked before it connects',
    expected: 'worker_revoked',
    attack(stage) {
      stage.scene.identity.workers.revoke('gpu-1', { actor: 'test', at: Date.now() });
      return greet(stage, stage.good.tls);
    },
  },
  {
    name: 'a certificate that was replaced, used again',
    expected: 'worker_locked',
    async attack(stage) {
      const { scene, good } = stage;
      scene.clock.aheadMs = DAY_MS / 2;
      const newer = await scene.renew(good);
      scene.identity.access.admit(newer.certificate);
      scene.clock.aheadMs += 120_000;
      return greet(stage, good.tls);
    },
  },
  {
    name: 'a certificate that two keys asked to follow: one of them is a thief’s',
    expected: 'worker_locked',
    async attack(stage) {
      const { scene, good } = stage;
      scene.clock.aheadMs = DAY_MS / 2;
      await scene.renew(good);
      await scene.renew(good).catch(() => undefined);
      return greet(stage, good.tls);
    },
  },
  {
    name: 'an address outside the allowed networks',
    expected: 'handshake_refused',
    async attack() {
      const stage = await openTunnelStage({ allow: ['192.0.2.0/24', '2001:db8::/32'] });
      try {
        const { closed } = await openTcp(stage.port);
        await closed;
        return Object.keys(stage.listener.stats().refused).join();
      } finally {
        await stage.close();
      }
    },
  },
];

const tokens: Attack<TunnelStage>[] = [
  {
    name: 'a token that was used',
    expected: 'enrolment_refused',
    async attack(stage) {
      const secret = stage.scene.invite('gpu-2');
      await stage.scene.identity.enrolment.join(secret, await goodRequest(), 'test');
      return joinWith(stage, await goodRequest(), secret);
    },
  },
  {
    name: 'a token that has expired',
    expected: 'enrolment_refused',
    attack: async (stage) => joinWith(stage, await goodRequest(), stage.scene.invite('gpu-2', null, 0)),
  },
  {
    name: 'a token that a newer one took back',
    expected: 'enrolment_refused',
    async attack(stage) {
      const older = stage.scene.invite('gpu-2');
      stage.scene.invite('gpu-2');
      return joinWith(stage, await goodRequest(), older);
    },
  },
  {
    name: 'a guessed secret behind a right id',
    expected: 'enrolment_refused',
    async attack(stage) {
      const [id] = stage.scene.invite('gpu-2').split('.');
      return joinWith(stage, await goodRequest(), `${id}.${'A'.repeat(43)}`);
    },
  },
  {
    name: 'guesses one after the other are throttled',
    expected: 'overloaded',
    async attack(stage) {
      let last = '';
      for (let n = 0; n < 6; n += 1) last = await joinWith(stage, await goodRequest(), `AAAAAAAAAAA.${'A'.repeat(43)}`);
      return last;
    },
  },
  {
    name: 'a token for another authority: the worker sends it nothing',
    expected: 'handshake_refused',
    attack: (stage) =>
      fetchAuthority(
        { host: '127.0.0.1', port: stage.port, clock: systemClock, timeoutMs: 5_000 },
        'A'.repeat(43),
      ).then(
        () => 'none',
        (error: unknown) => (error as PosternError).code,
      ),
  },
];

const requests: Attack<TunnelStage>[] = [
  {
    name: 'a request for another name than was invited',
    expected: 'enrolment_refused',
    attack: async (stage) => joinWith(stage, await goodRequest('gpu-1')),
  },
  {
    name: 'a request to be an authority (CA:TRUE)',
    expected: 'enrolment_refused',
    attack: async (stage) => joinWith(stage, opensslRequest('gpu-2', 'basicConstraints=critical,CA:TRUE')),
  },
  {
    name: 'a request for another alternative name',
    expected: 'enrolment_refused',
    attack: async (stage) => joinWith(stage, opensslRequest('gpu-2', 'subjectAltName=URI:postern://worker/gpu-1')),
  },
  {
    name: 'a request with a second subject',
    expected: 'enrolment_refused',
    attack: async (stage) => joinWith(stage, await makeRequest(makeKeyPem(), 'gpu-2, CN=gpu-1')),
  },
  {
    name: 'a request whose signature is of another key',
    expected: 'enrolment_refused',
    async attack(stage) {
      const der = Buffer.from((await goodRequest()).replace(/-----[^-]+-----|\s/g, ''), 'base64');
      // The last bytes are the signature.
      der[der.length - 3] = (der[der.length - 3] ?? 0) ^ 1;
      const body = der.toString('base64');
      return joinWith(stage, `-----BEGIN CERTIFICATE REQUEST-----\n${body}\n-----END CERTIFICATE REQUEST-----\n`);
    },
  },
  {
    name: 'something else than a request',
    expected: 'enrolment_refused',
    attack: (stage) =>
      joinWith(stage, generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }) as string),
  },
  {
    name: 'a renewal without a certificate',
    expected: 'handshake_refused',
    attack: async (stage) => stage.enrol({ type: 'renew', request: await goodRequest('gpu-1') }),
  },
  {
    name: 'a renewal with a certificate that signed itself',
    expected: 'handshake_refused',
    async attack(stage) {
      const key = makeKeyPem();
      const cert = await selfSign(key, 'gpu-1', Date.now(), DAY_MS);
      return stage.enrol({ type: 'renew', request: await goodRequest('gpu-1') }, { key, cert });
    },
  },
  {
    name: 'a renewal for another worker’s name',
    expected: 'enrolment_refused',
    async attack(stage) {
      stage.scene.clock.aheadMs = DAY_MS / 2;
      const { key, cert } = stage.good.tls;
      return stage.enrol({ type: 'renew', request: await goodRequest('gpu-2') }, { key, cert });
    },
  },
  {
    name: 'a session asked for where one enrols',
    expected: 'protocol_error',
    attack: (stage) => stage.enrol(makeHello(HELLO), stage.good.tls),
  },
  {
    name: 'a question to enrol that is too long',
    expected: 'frame_too_large',
    attack: (stage) => stage.enrol({ type: 'join', token: 'x'.repeat(100), request: 'y'.repeat(4_096) }),
  },
];

attackTable('certificates', openTunnelStage, certificates);
attackTable('tokens', openTunnelStage, tokens);
attackTable('requests for certificates', openTunnelStage, requests);
