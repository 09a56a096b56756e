/** Where a server listens: at an address, or on a socket that somebody else bound and this process inherited. */
import type { Server } from 'node:net';

/** `fd`: an open descriptor of a bound socket. Whoever stops listening closes it. */
export type Door = { readonly host: string; readonly port: number } | { readonly fd: number };

/** Resolves when it listens, rejects with what the system says. */
export function listenAt(server: Server, door: Door, backlog?: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => {
      server.off('listening', onListening);
      reject(error);
    };
    const onListening = (): void => {
      server.off('error', onError);
      resolve();
    };
    server.once('error', onError);
    server.once('listening', onListening);
    server.listen({ ...door, ...(backlog === undefined ? {} : { backlog }) });
  });
}
