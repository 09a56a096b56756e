/** The port for other gateways as a stage for attacks: the real listener with a real identity, before the real HTTP service. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { Agent, request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { systemClock } from '../../../src/clock.ts';
import { createPeerListener } from '../../../src/gateway/cluster/peer-listener.ts';
import { encodeAccess, FORWARDED_HEADER } from '../../../src/gateway/http/forwarded.ts';
import { issueLeaf, type LeafRequest } from '../../../src/identity/certificate.ts';
import { createPeerCertificate } from '../../../src/identity/peer-certificate.ts';
import { silentLogger } from '../../../src/logger.ts';
import { startHttp, type RunningHttp } from '../../support/http-service.ts';
import { DAY_MS, openIdentityScene, type IdentityScene } from '../../support/identity-scene.ts';
import type { AttackStage } from './attack.ts';

export interface PeerStage extends AttackStage {
  readonly scene: IdentityScene;
  readonly running: RunningHttp;
  readonly port: number;
  /** Connections of gateways that were let in, so far. */
  readonly taken: number;
  /** From now on nobody new is let in. */
  closeDoor(): void;
  /** A certificate as gateways have it, of the right authority, with these changes. */
  forge(changes?: Partial<LeafRequest>, now?: number): Promise<ConnectionOptions>;
  /** Asks over TLS with this certificate: the code of the refusal, `no connection`, or `none`. */
  ask(tls: ConnectionOptions, path: string, headers?: Record<string, string>): Promise<string>;
}

/** As the gateway where a request arrived would say it of somebody. */
export const CALLER = {
  [FORWARDED_HEADER]: encodeAccess({ caller: 'key-1', admin: false, models: null, maxUndecidedJobs: null }),
};

export async function openPeerStage(): Promise<PeerStage> {
  const ends: (() => unknown)[] = [];
  const running = await startHttp({ after: (end: () => unknown) => void ends.push(end) } as never);
  const scene = await openIdentityScene();
  const certificate = createPeerCertificate({
    id: 'near',
    identity: scene.identity,
    clock: systemClock,
    logger: silentLogger,
  });
  await certificate.start();
  const { service } = running;
  let taken = 0;
  const listener = createPeerListener({
    host: '127.0.0.1',
    port: 0,
    certificate,
    onPeer(socket, id) {
      taken += 1;
      service.takePeer(socket, id);
    },
    clock: systemClock,
    logger: silentLogger,
  });
  await listener.open();
  const { port } = listener;
  const caPem = scene.identity.pki.authorities[0]?.certPem ?? '';

  return {
    scene,
    running,
    port,
    get taken() {
      return taken;
    },
    closeDoor: () => listener.close(),
    async forge(changes = {}, now = Date.now()) {
      const keyPem = await readFile(join(scene.folder, 'identity', 'ca.key'), 'utf8');
      const names = [{ type: 'url', value: 'postern://gateway/far-1' }] as const;
      const purpose = ['serverAuth', 'clientAuth'] as const;
      const made = await issueLeaf(
        { keyPem, certPem: caPem },
        { commonName: 'far-1', names, purpose, ttlMs: DAY_MS, ...changes },
        now,
      );
      return { key: made.keyPem, cert: made.certPem, ca: caPem };
    },
    ask(tls, path, headers = {}) {
      const agent = new Agent({ ca: caPem, checkServerIdentity: () => undefined, ...tls, maxCachedSessions: 0 });
      return new Promise((resolve) => {
        const asked = httpsRequest({ host: '127.0.0.1', port, path, method: 'POST', agent, headers }, (response) => {
          let body = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => (body += chunk));
          response.on('end', () =>
            resolve(response.statusCode === 200 ? 'none' : (/"code":"(\w+)"/.exec(body)?.[1] ?? body)),
          );
        });
        asked.on('error', () => resolve('no connection'));
        asked.end();
      });
    },
    assertNothingHeard() {
      assert.deepEqual(running.fake.submitted, [], 'no job was made');
      assert.deepEqual(running.errors, [], 'and nothing went wrong inside');
    },
    async close() {
      listener.close();
      await certificate.stop();
      for (const end of ends.reverse()) await end();
      await scene.close();
    },
  };
}
