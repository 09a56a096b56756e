/** On which address a gateway is reached by the others: the one from which it reaches the database that it shares with them. */
import { createSocket } from 'node:dgram';
import { isIP } from 'node:net';
import type { Secret } from '../secret.ts';

const LOOPBACK = '127.0.0.1';
const DATABASE_PORT = 5_432;

/** Asks the system for the way there, and sends nothing. Loopback where the database is on this machine, or the way is not known. */
export function hostTowards(databaseUrl: Secret): Promise<string> {
  const url = URL.parse(databaseUrl.reveal());
  const name = url?.hostname.replace(/^\[|\]$/g, '') ?? '';
  if (name === '') return Promise.resolve(LOOPBACK);
  return new Promise((resolve) => {
    const socket = createSocket(isIP(name) === 6 ? 'udp6' : 'udp4');
    const end = (host: string): void => {
      socket.close();
      resolve(host);
    };
    socket.on('error', () => end(LOOPBACK));
    socket.connect(Number(url?.port) || DATABASE_PORT, name, () => end(socket.address().address));
  });
}
