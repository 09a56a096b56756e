/**
 * What does an idle worker cost a gateway, and how fast are all back after it was restarted? One gateway process, killed
 * and started again on the same port; one process that holds the dialling links, each with an identity of its own.
 *
 *   npm run bench:sessions -- [sessions, default 1000]
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PosternSystem, until } from '../test/support/postern.ts';
import { cpuSeconds, memoryBytes, start } from './support/process.ts';
import { atMost, record, storeUsed } from './support/record.ts';

const sessions = Number(process.argv[2] ?? 1_000);
const system = new PosternSystem({ env: { POSTERN_LOG_LEVEL: 'error' } });

async function connected(url: string): Promise<number> {
  const { results: workers } = (await (await fetch(`${url}/v1/workers`)).json()) as { results: { state: string }[] };
  return workers.filter(({ state }) => state === 'connected').length;
}

async function untilAll(url: string): Promise<number> {
  const began = performance.now();
  let shown = 0;
  await until(`${sessions} sessions`, 180_000, async () => {
    const count = await connected(url);
    if (count - shown >= sessions / 5) console.log(`${(shown = count)} of ${sessions} connected`);
    return count === sessions ? true : null;
  });
  return performance.now() - began;
}

try {
  const first = await system.gateway();
  // What the process needs for anything at all is not the sessions' cost: let it serve a little before it is weighed.
  for (let n = 0; n < 200; n += 1) await connected(first.url);
  const before = memoryBytes(first.pid);
  const dialler = await start(
    process.execPath,
    [
      fileURLToPath(new URL('peers/many-links.ts', import.meta.url)),
      join(system.folder, 'gateway', 'identity'),
      String(first.tunnelPort),
      String(sessions),
    ],
    { timeoutMs: 120_000 },
  );
  try {
    const dialMs = await untilAll(first.url);
    // Two pings' time, so that what a live session keeps is there, and what only its start needed can be collected.
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    const after = memoryBytes(first.pid);
    const perSession = (after.rss - before.rss) / sessions / 1_024;
    console.log(`${perSession.toFixed(0)} KiB a session`);
    await first.kill();
    const restarted = performance.now();
    const second = await system.gateway({ httpPort: first.httpPort, tunnelPort: first.tunnelPort });
    const upMs = performance.now() - restarted;
    await untilAll(second.url);
    const backMs = performance.now() - restarted;
    record(
      'sessions',
      [
        atMost('gateway memory per idle session', perSession, 'KiB', 200),
        atMost('all sessions back after a restart', backMs / 1_000, 's', 10),
      ],
      {
        store: storeUsed(),
        sessions,
        before,
        after,
        firstDialMs: dialMs,
        gatewayStartMs: upMs,
        backAfterReadyMs: backMs - upMs,
        gatewayCpuSeconds: cpuSeconds(second.pid),
      },
    );
  } finally {
    await dialler.stop();
  }
} finally {
  await system.remove();
}
