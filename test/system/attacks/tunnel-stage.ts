/** The tunnel port as a stage for attacks: the real listener with a real identity, and a good worker that has joined. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { systemClock } from '../../../src/clock.ts';
import { createWorkerListener } from '../../../src/gateway/listener.ts';
import type { ListenerStats, WorkerListenerConfig } from '../../../src/gateway/listener.ts';
import type { SessionEvents, WorkerListener } from '../../../src/gateway/worker-ports.ts';
import { issueLeaf } from '../../../src/identity/certificate.ts';
import type { LeafRequest } from '../../../src/identity/certificate.ts';
import { silentLogger } from '../../../src/logger.ts';
import { ENROL_ALPN } from '../../../src/protocol/limits.ts';
import type { Message } from '../../../src/protocol/messages.ts';
import { DAY_MS, openIdentityScene } from '../../support/identity-scene.ts';
import type { IdentityScene, Member } from '../../support/identity-scene.ts';
import { openRawWorker, openTls } from '../../support/raw-peer.ts';
import type { AttackStage } from './attack.ts';

/** What an attacker writes once it believes to be in. Read, it would be a broken frame, and counted as that. */
const LOOT = Buffer.alloc(64, 0xff);

export interface TunnelStage extends AttackStage {
  readonly scene: IdentityScene;
  readonly good: Member;
  readonly port: number;
  readonly listener: WorkerListener & { stats(): ListenerStats };
  /** A certificate of the right authority with these changes; made behind the records' back. */
  forge(changes: Partial<LeafRequest>, now?: number): Promise<ConnectionOptions>;
  /** Connects with this TLS, writes at once, and gives the code by which the gateway counted the refusal. */
  intrude(tls: ConnectionOptions): Promise<string>;
  /** Says this first on an enrolment connection, and gives the code of the close. */
  enrol(first: Message, tls?: ConnectionOptions): Promise<string>;
}

export async function openTunnelStage(config: Partial<WorkerListenerConfig> = {}): Promise<TunnelStage> {
  const scene = await openIdentityScene();
  const good = await scene.join('gpu-1');
  const heard: string[] = [];
  const events = new Proxy({} as SessionEvents, { get: (_, name) => () => heard.push(String(name)) });
  const listener = createWorkerListener({
    config: { host: '127.0.0.1', port: 0, gateway: 'test', leaseMs: 30_000, ...config },
    identity: scene.identity,
    events,
    logger: silentLogger,
    clock: systemClock,
  });
  await listener.start();
  const { port } = listener;
  const [authority] = scene.identity.pki.authorities;
  const caPem = authority?.certPem ?? '';

  return {
    scene,
    good,
    port,
    listener,
    async forge(changes, now = Date.now()) {
      const keyPem = await readFile(join(scene.folder, 'identity', 'ca.key'), 'utf8');
      const names = [{ type: 'url', value: 'postern://worker/gpu-1' }] as const;
      const request = { commonName: 'gpu-1', names, purpose: 'clientAuth' as const, ttlMs: DAY_MS, ...changes };
      const made = await issueLeaf({ keyPem, certPem: caPem }, request, now);
      return { key: made.keyPem, cert: made.certPem, ca: caPem };
    },
    async intrude(tls) {
      const before = { ...listener.stats().refused };
      const { socket, closed } = await openTls(port, { ca: caPem, ...tls });
      socket.resume();
      if (!socket.destroyed) socket.write(LOOT);
      await closed;
      const after = listener.stats().refused;
      const codes = Object.keys(after).filter((code) => after[code] !== before[code]);
      assert.equal(codes.length, 1, `one refusal, and nothing that was read: ${codes.join(', ')}`);
      return codes[0] ?? 'none';
    },
    async enrol(first, tls = {}) {
      const asked = await openRawWorker(port, { ca: caPem, ...tls, ALPNProtocols: [ENROL_ALPN] }, first);
      return (await asked.closed)?.code ?? 'none';
    },
    assertNothingHeard() {
      assert.deepEqual(heard, [], 'no session heard of it');
      assert.equal(listener.stats().sessions, 0);
    },
    async close() {
      await listener.stop();
      await scene.close();
    },
  };
}
