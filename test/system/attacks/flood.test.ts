/** A flood of bad handshakes, counted and not timed: the worker that is in stays in, and nothing of the flood stays behind. */
import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { makeKeyPem, selfSign } from '../../../src/identity/certificate.ts';
import { eventually } from '../../support/leaks.ts';
import { openTcp, openTls } from '../../support/raw-peer.ts';
import { onGateway, tunnelTest } from '../../support/tunnel.ts';

const AT_ONCE = 16;
const WARM = 300;
const FLOOD = 900;
/** What a forgotten connection would leave is several times this: its buffers and its TLS state. */
const MAX_LEFT_BYTES_EACH = 1_024;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** In use after everything that can go is gone; native memory of closed handles follows a turn later. */
async function usedBytes(): Promise<number> {
  for (let n = 0; n < 4; n += 1) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

tunnelTest('a flood of bad handshakes disconnects nobody and leaves nothing behind', async (scene) => {
  const tunnel = await scene.openTunnel();
  await scene.openLink(tunnel);
  await onGateway(tunnel, 'onOpen');
  const key = makeKeyPem();
  const cert = await selfSign(key, 'gpu-1', Date.now(), 86_400_000);
  const { port } = tunnel;
  const bad: readonly (() => Promise<unknown>)[] = [
    async () => (await openTls(port, { rejectUnauthorized: false })).closed,
    async () => (await openTls(port, { key, cert, rejectUnauthorized: false })).closed,
    async () => (await openTls(port, { maxVersion: 'TLSv1.2', rejectUnauthorized: false })).closed,
    async () => (await openTls(port, { ALPNProtocols: ['h2'], rejectUnauthorized: false })).closed,
    async () => {
      const { socket, closed } = await openTcp(port);
      socket.write('GET / HTTP/1.1\r\n\r\n');
      socket.resume();
      await closed;
    },
    async () => {
      const { socket, closed } = await openTcp(port);
      // A record that announces more than ever comes.
      socket.write(Buffer.from([0x16, 0x03, 0x01, 0x40, 0x00, 0x01]));
      socket.resetAndDestroy();
      await closed;
    },
  ];
  const flood = async (count: number): Promise<void> => {
    let begun = 0;
    const one = async (): Promise<void> => {
      while (begun < count) await bad[begun++ % bad.length]!();
    };
    await Promise.all(Array.from({ length: AT_ONCE }, one));
    await eventually(() => tunnel.listener.stats().handshakes + tunnel.listener.stats().waiting === 0);
  };

  await flood(WARM);
  const before = await usedBytes();
  await flood(FLOOD);
  const left = ((await usedBytes()) - before) / FLOOD;
  assert.ok(left < MAX_LEFT_BYTES_EACH, `${left.toFixed(0)} bytes of each bad handshake are still there`);
  const opened = tunnel.journal.entries.filter(({ type }) => type === 'onOpen').length;
  assert.deepEqual([tunnel.listener.stats().sessions, opened], [1, 1], 'the worker has the session that it began with');
});
