/** On which address a gateway is reached by the others: the one from which it reaches the database that it shares with them. */
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import type { Secret } from '../secret.ts';

const LOOPBACK = '127.0.0.1';
const DATABASE_PORT = 5_432;
/** Of a socket that found no way: who listens there listens on all interfaces. */
const UNSPECIFIED: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Asks the system for the way there, and sends nothing. Loopback where the database is on this machine, or the way is not known. */
export async function hostTowards(databaseUrl: Secret): Promise<string> {
  const url = URL.parse(databaseUrl.reveal());
  const name = url?.hostname.replace(/^\[|\]$/g, '') ?? '';
  if (name === '') return LOOPBACK;
  try {
    const there = await lookup(name, { order: 'ipv4first' });
    const host = await ownAddress(there, Number(url?.port) || DATABASE_PORT);
    return UNSPECIFIED.has(host) ? LOOPBACK : host;
  } catch {
    return LOOPBACK;
  }
}

async function ownAddress(there: { readonly address: string; readonly family: number }, port: number): Promise<string> {
  const socket = createSocket(there.family === 6 ? 'udp6' : 'udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      // Told here alone, and not as an event, when there is no way: the types do not know of it.
      socket.connect(port, there.address, (error?: Error | null) => (error ? reject(error) : resolve()));
    });
    return socket.address().address;
  } finally {
    socket.close();
  }
}
