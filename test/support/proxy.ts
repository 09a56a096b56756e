/** A TCP relay between two ends of a test, whose connections can be cut, or fall silent as a lost network does. */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export interface Relayed {
  /** Both sides see the connection break. */
  cut(): void;
  /** Neither side sees anything any more, not even the end. */
  silence(): void;
  /** Holds back what the gateway sends (or lets it pass again). */
  hold(held: boolean): void;
}

export interface Proxy {
  readonly port: number;
  /** In the order of their dials; those that are gone stay in the list. */
  readonly connections: readonly Relayed[];
  close(): Promise<void>;
}

export async function openProxy(targetPort: number): Promise<Proxy> {
  const connections: Relayed[] = [];
  const sockets = new Set<Socket>();

  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: '127.0.0.1', port: targetPort, noDelay: true });
    let silent = false;
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('error', () => undefined);
      from.on('data', (chunk) => void (silent || to.write(chunk)));
      from.on('close', () => {
        sockets.delete(from);
        if (!silent) to.destroy();
      });
    }
    connections.push({
      cut() {
        near.destroy();
        far.destroy();
      },
      silence() {
        silent = true;
      },
      hold(held) {
        if (held) far.pause();
        else far.resume();
      },
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    port: (server.address() as AddressInfo).port,
    connections,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
