/**
 * A TCP relay between two ends of a test, with the faults of real networks: connections are cut, reset in the middle of a frame,
 * late, slow, or lose what one side says, or both, without anybody being told, as when a machine or a router is gone.
 *
 * "Up" is what the dialling end says, "down" what it hears.
 */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export type Direction = 'up' | 'down';

export interface Relayed {
  /** Both sides see the connection break. */
  cut(): void;
  /** Neither side sees anything any more, not even the end. */
  silence(): void;
  /** Holds back what the gateway sends (or lets it pass again). */
  hold(held: boolean): void;
  /** What this direction says is lost, its end too; the other direction goes on. */
  drop(direction: Direction): void;
  /** So many more bytes of this direction pass: then both sides are reset, or hear nothing more of it. */
  endAfter(direction: Direction, bytes: number, then: 'reset' | 'silence'): void;
  /** Every chunk comes this much later; order is kept. */
  delay(ms: number): void;
  /** At most so many bytes a second pass in each direction; the rest waits, and then its sender does. */
  throttle(bytesPerSecond: number): void;
}

export interface Proxy {
  readonly port: number;
  /** In the order of their dials; those that are gone stay in the list. */
  readonly connections: readonly Relayed[];
  /** Called with every new connection: for faults that meet whoever dials again as well. */
  onConnection: (relayed: Relayed) => void;
  close(): Promise<void>;
}

/** Bytes that a direction holds for later; beyond it its sender is not read. */
const MAX_HELD_BYTES = 64 * 1024;
const SLICES_PER_SECOND = 20;

/** One direction of one connection. */
class Pipe {
  latencyMs = 0;
  bytesPerSecond = Infinity;
  isDropping = false;
  #passBytes = Infinity;
  #onPassed: () => void = () => undefined;
  #held: { readonly chunk: Buffer; readonly dueAt: number }[] = [];
  #heldBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #from: Socket;
  readonly #to: Socket;

  constructor(from: Socket, to: Socket) {
    this.#from = from;
    this.#to = to;
    from.on('data', (chunk: Buffer) => this.#take(chunk));
  }

  endAfter(bytes: number, then: () => void): void {
    this.#passBytes = bytes;
    this.#onPassed = then;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#held = [];
  }

  #take(chunk: Buffer): void {
    if (this.isDropping) return;
    if (this.latencyMs === 0 && this.bytesPerSecond === Infinity && this.#held.length === 0) {
      this.#pass(chunk);
      return;
    }
    this.#held.push({ chunk, dueAt: performance.now() + this.latencyMs });
    this.#heldBytes += chunk.byteLength;
    if (this.#heldBytes > MAX_HELD_BYTES && this.bytesPerSecond < Infinity) this.#from.pause();
    this.#schedule();
  }

  #schedule(): void {
    const [first] = this.#held;
    if (this.#timer !== undefined || first === undefined) return;
    const pauseMs = this.bytesPerSecond === Infinity ? 0 : this.#sliceMs();
    this.#timer = setTimeout(() => this.#tick(), Math.max(pauseMs, first.dueAt - performance.now()));
  }

  /** A byte at a time when it is that slow. */
  #sliceMs(): number {
    return Math.max(1_000 / SLICES_PER_SECOND, 1_000 / this.bytesPerSecond);
  }

  #tick(): void {
    this.#timer = undefined;
    let left =
      this.bytesPerSecond === Infinity ? Infinity : Math.round((this.bytesPerSecond * this.#sliceMs()) / 1_000);
    while (left > 0 && this.#held.length > 0 && this.#held[0]!.dueAt <= performance.now() + 1) {
      const { chunk, dueAt } = this.#held.shift()!;
      const now = chunk.subarray(0, Math.min(left, chunk.byteLength));
      if (now.byteLength < chunk.byteLength) this.#held.unshift({ chunk: chunk.subarray(now.byteLength), dueAt });
      left -= now.byteLength;
      this.#heldBytes -= now.byteLength;
      this.#pass(now);
    }
    if (this.#heldBytes <= MAX_HELD_BYTES) this.#from.resume();
    this.#schedule();
  }

  #pass(chunk: Buffer): void {
    if (this.isDropping) return;
    const passes = chunk.subarray(0, this.#passBytes);
    this.#passBytes -= passes.byteLength;
    if (passes.byteLength > 0) this.#to.write(passes);
    if (this.#passBytes > 0) return;
    this.#passBytes = Infinity;
    this.#onPassed();
  }
}

function relay(near: Socket, far: Socket): Relayed {
  const pipes = { up: new Pipe(near, far), down: new Pipe(far, near) };
  const both = [pipes.up, pipes.down];
  /** The end of one side is told to the other, unless what that side says is lost. */
  const tellEnd = (from: Socket, to: Socket, pipe: Pipe): void => {
    from.on('error', () => undefined);
    from.on('close', () => {
      if (pipe.isDropping) return;
      for (const one of both) one.stop();
      to.destroy();
    });
  };
  tellEnd(near, far, pipes.up);
  tellEnd(far, near, pipes.down);
  return {
    cut() {
      near.destroy();
      far.destroy();
    },
    silence() {
      for (const pipe of both) pipe.isDropping = true;
    },
    hold(held) {
      if (held) far.pause();
      else far.resume();
    },
    drop(direction) {
      pipes[direction].isDropping = true;
    },
    endAfter(direction, bytes, then) {
      const pipe = pipes[direction];
      pipe.endAfter(bytes, () => {
        if (then === 'silence') pipe.isDropping = true;
        else for (const socket of [near, far]) socket.resetAndDestroy();
      });
    },
    delay(ms) {
      for (const pipe of both) pipe.latencyMs = ms;
    },
    throttle(bytesPerSecond) {
      for (const pipe of both) pipe.bytesPerSecond = bytesPerSecond;
    },
  };
}

/** A function is asked for the port of each connection, as a load balancer would choose it. */
export async function openProxy(targetPort: number | (() => number)): Promise<Proxy> {
  const connections: Relayed[] = [];
  const sockets = new Set<Socket>();

  const server = createServer({ noDelay: true }, (near) => {
    const port = typeof targetPort === 'number' ? targetPort : targetPort();
    const far = connect({ host: '127.0.0.1', port, noDelay: true });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    }
    const relayed = relay(near, far);
    connections.push(relayed);
    proxy.onConnection(relayed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  const proxy: Proxy = {
    port: (server.address() as AddressInfo).port,
    connections,
    onConnection: () => undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
  return proxy;
}
