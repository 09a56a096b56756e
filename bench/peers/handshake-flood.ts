/**
 * Begins handshakes as fast as one core can, until it is told to end; then says how many. Arguments: `whole` (a worker's good
 * certificate, to the end of the handshake, and away) or `bad` (of every kind in turn, from 250 addresses), the port, a worker's folder.
 */
import { readFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { makeKeyPem, selfSign } from '../../src/identity/certificate.ts';
import { ALPN, ENROL_ALPN } from '../../src/protocol/limits.ts';

const [kind = '', port = '', folder = ''] = process.argv.slice(2);
/** Enough to keep the core busy, and more than the gateway gives one address. */
const AT_ONCE = 128;
const ADDRESSES = 250;
/** Who only holds a place keeps no core busy, here or there; test/system/attacks tries those. */
const GIVE_UP_MS = 250;

const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
const good = { key: read('worker.key'), cert: read('worker.pem'), ca: read('ca.pem') };
const strangerKey = makeKeyPem();
const stranger = { key: strangerKey, cert: await selfSign(strangerKey, 'gpu-1', Date.now(), 86_400_000) };

let begun = 0;
let completed = 0;
let ending = false;

const target = () => ({ host: '127.0.0.1', port: Number(port), localAddress: `127.0.9.${1 + (begun % ADDRESSES)}` });
function tls(options: ConnectionOptions): Socket {
  const settings = { servername: 'postern-gateway', rejectUnauthorized: false, ALPNProtocols: [ALPN] };
  return connectTls({ ...target(), ...settings, ...options });
}
function raw(bytes: Buffer | null): Socket {
  const socket = connectTcp(target());
  if (bytes !== null) socket.write(bytes);
  return socket;
}

const whole = (): Socket => {
  const socket = tls({ ...good, ALPNProtocols: [ENROL_ALPN] });
  socket.once('secureConnect', () => {
    completed += 1;
    socket.destroy();
  });
  return socket;
};

const BAD: readonly (() => Socket)[] = [
  () => tls({}),
  () => tls(stranger),
  () => tls({ ...stranger, maxVersion: 'TLSv1.2' }),
  () => tls({ ALPNProtocols: ['h2'] }),
  () => raw(Buffer.alloc(600, 'GET / HTTP/1.1\r\n')),
  // The beginning of a record that announces more than ever comes.
  () => raw(Buffer.from([0x16, 0x03, 0x01, 0x40, 0x00, 0x01])),
  // Half a handshake: what it costs the gateway to begin one, and nothing more from here.
  () => {
    const socket = tls({});
    setTimeout(() => socket.destroy(), 2);
    return socket;
  },
  () => {
    const socket = raw(null);
    socket.once('connect', () => socket.resetAndDestroy());
    return socket;
  },
];

function begin(): void {
  if (ending) return;
  const socket = kind === 'whole' ? whole() : (BAD[begun % BAD.length] as () => Socket)();
  begun += 1;
  socket.on('error', () => undefined);
  socket.resume();
  const late = setTimeout(() => socket.destroy(), GIVE_UP_MS);
  socket.once('close', () => {
    clearTimeout(late);
    setImmediate(begin);
  });
}

console.log(JSON.stringify({ ready: true }));
for (let n = 0; n < AT_ONCE; n += 1) begin();
process.on('SIGTERM', () => {
  ending = true;
  process.stdout.write(`${JSON.stringify({ begun, completed })}\n`, () => process.exit(0));
});
