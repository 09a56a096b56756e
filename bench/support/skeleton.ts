/** Starts the skeleton's two processes with certificates of their own. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openIdentity } from '../../src/identity/identity.ts';
import { systemClock } from '../../src/clock.ts';
import { start, type Measured } from './process.ts';

export interface Skeleton {
  readonly url: string;
  readonly gateway: Measured;
  readonly worker: Measured;
  stop(): Promise<void>;
}

/** `folder` is made; it is the caller's to remove afterwards. */
export async function startSkeleton(folder: string, front: 'node' | 'fastify'): Promise<Skeleton> {
  const identity = await openIdentity({ folder, hosts: ['localhost'], clock: systemClock });
  const worker = await identity.issueWorker('bench', 3_600_000);
  const files = {
    'ca.pem': identity.caPem,
    'gateway.key': identity.gateway.keyPem,
    'gateway.pem': identity.gateway.certPem,
    'worker.key': worker.keyPem,
    'worker.pem': worker.certPem,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode: 0o600 });
  const peer = (name: string): string => new URL(`../peers/${name}.ts`, import.meta.url).pathname;
  const gateway = await start(process.execPath, [peer('skeleton-gateway'), folder, front]);
  const dialled = await start(process.execPath, [peer('skeleton-worker'), folder, `${String(gateway.ready.tunnel)}`]);
  return {
    url: `http://127.0.0.1:${String(gateway.ready.http)}/`,
    gateway,
    worker: dialled,
    async stop() {
      await Promise.all([dialled.stop(), gateway.stop()]);
    },
  };
}
