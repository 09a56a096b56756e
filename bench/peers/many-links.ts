/**
 * Many idle workers in one process: each its own identity and its own session, as the product's own link makes them.
 * Arguments: the folder of the gateway's authority, which makes the identities, the tunnel port, and how many.
 */
import { systemClock } from '../../src/clock.ts';
import { openIdentity } from '../../src/identity/identity.ts';
import { silentLogger } from '../../src/logger.ts';
import { createWorkerLinks } from '../../src/worker/links/links.ts';
import { fixedCredentials } from '../../test/support/tunnel-identity.ts';
import type { WorkerLink } from '../../src/worker/ports.ts';

const [identityFolder = '', port = '', count = ''] = process.argv.slice(2);
const identity = await openIdentity({ folder: identityFolder, hosts: [], clock: systemClock });
const links: WorkerLink[] = [];
for (let n = 0; n < Number(count); n += 1) {
  const { keyPem, certPem } = await identity.issueWorker(`idle-${n}`, 3_600_000);
  const link = createWorkerLinks({
    targets: [{ host: '127.0.0.1', port: Number(port) }],
    credentials: fixedCredentials({ keyPem, certPem, caPem: identity.caPem }),
    events: {
      onAssign: () => undefined,
      onCancel: () => undefined,
      onRequest: () => undefined,
      onDeploy: () => undefined,
      onFreed: () => undefined,
      onDrain: () => undefined,
      onState: () => undefined,
    },
    logger: silentLogger,
    clock: systemClock,
    random: Math.random,
    spool: null,
  });
  link.announce([{ name: 'echo', version: '1', state: 'ready', kind: 'echo', maxRows: 1 }]);
  link.setCapacity('echo', '1', 4);
  links.push(link);
}
for (const link of links) await link.start();
console.log(JSON.stringify({ ready: true, sessions: links.length }));
// The product's timers keep no process alive; this one lives until it is told to end.
const hold = setInterval(() => undefined, 60_000);
process.on('SIGTERM', () => {
  clearInterval(hold);
  process.exit(0);
});
