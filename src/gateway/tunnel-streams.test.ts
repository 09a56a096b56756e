/** Parts of outputs over a real tunnel whose connections are cut. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { openProxy } from '../../test/support/proxy.ts';
import { makeJob, onGateway, onWorker, resultOf, sessionOf, tunnelTest } from '../../test/support/tunnel.ts';
import type { Fence } from '../dispatch/job.ts';
import type { GatewaySession } from './worker-ports.ts';
import { StreamLog } from './stream-log.ts';

tunnelTest('parts large and small arrive whole and once, whatever is cut while they travel', async (scene) => {
  const log = new StreamLog(1, { usedBytes: 0 });
  let kept = 0;
  let cuts = 0;
  const ack = (session: GatewaySession, fence: Fence): void => session.ackParts(fence, log.highest);
  const tunnel = await scene.openTunnel({
    events: {
      onResume: (session) => ack(session, { job: 'job-1', attempt: 1, session: session.id }),
      onPartial(session, fence, seq, part) {
        assert.ok(log.add(seq, part), `part ${seq} is within the window`);
        ack(session, fence);
        if (log.count === kept) return;
        kept = log.count;
        // A data connection, then the control connection, and so on.
        if (kept % 8 !== 0 || cuts === 6) return;
        cuts += 1;
        const open = proxy.connections;
        (cuts % 2 === 1 ? open.at(-1) : open[controlAt])?.cut();
        if (cuts % 2 === 0) controlAt = open.length;
      },
    },
  });
  const proxy = await openProxy(tunnel.port);
  let controlAt = 0;
  scene.onEnd(() => proxy.close());
  const worker = await scene.openLink(proxy, { config: { dataConnections: 2 } });
  worker.link.setCapacity('echo', '1', 1);
  const session = await sessionOf(tunnel);
  await onGateway(tunnel, 'onGrant');
  session.assign(makeJob('job-1'), '1', null);
  const [assignment] = await onWorker(worker, 'onAssign');
  const parts = Array.from({ length: 64 }, (_, n) => randomBytes(n % 3 === 0 ? 200_000 : 100 + n));
  for (const [seq, part] of parts.entries()) {
    await worker.link.partial(assignment, seq, 'application/octet-stream', part);
  }
  await tunnel.journal.until(() => (log.count === parts.length ? true : undefined));
  for (const [seq, part] of parts.entries()) assert.ok(part.equals(log.part(seq)!.bytes), `part ${seq}`);
  assert.ok(cuts >= 4, `${cuts} cuts`);
  worker.link.end(assignment, resultOf(Buffer.from('all of it')));
  assert.equal((await onGateway(tunnel, 'onResult'))[1].job, 'job-1');
});
