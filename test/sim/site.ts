/**
 * Where workers and callers find a gateway: one process after another on one disk, at times two side by side, as during a
 * switch of releases. New connections and new calls go to the newest; what an older one has begun, it ends, or dies with.
 */
import type { Engine } from '../../src/gateway/engine.ts';
import { createMemoryBook } from '../../src/gateway/rollouts/book.ts';
import type { Fence, Job } from '../../src/dispatch/job.ts';
import type { SimDisk } from './disk.ts';
import { createSimGateway, type SimGateway, type SimPeer, type SimSession } from './gateway.ts';
import { createProcess } from './process.ts';
import type { Link } from './wire.ts';
import type { World } from './world.ts';

export interface SiteOptions {
  readonly world: World;
  readonly disk: SimDisk;
  readonly onDecided: (job: Job, gateway: string) => void;
  readonly onAck: (fences: readonly Fence[]) => void;
}

export interface Site {
  /** The newest gateway, unless it is dead. */
  readonly front: SimGateway | null;
  /** Asks the newest gateway, when it is awake; nobody answers for a dead one. */
  call(ask: (engine: Engine) => void): void;
  accept(
    worker: SimPeer,
    link: Link,
    epoch: number,
    sessionId: string,
    reply: (session: SimSession | null) => void,
  ): void;
  /** Starts a gateway unless one lives that is there to stay. */
  start(): void;
  /** Starts the next release, and drains the one before. */
  switchRelease(deadlineMs: number): void;
  /** Kills one that lives. */
  kill(): void;
  killAll(): void;
}

/** More releases at once than any deploy has. */
const MAX_ALIVE = 3;

export function createSite({ world, disk, onDecided, onAck }: SiteOptions): Site {
  let gateways: SimGateway[] = [];
  /** Told to drain; it may not have heard of it yet. */
  const leaving = new WeakSet<SimGateway>();
  let started = 0;
  /** Flushed before a decision is answered: it outlives every process. */
  const book = createMemoryBook();

  function launch(): SimGateway {
    started += 1;
    const process = createProcess(world, `gateway-${started}`);
    world.trace(`${process.name} starts`);
    const gateway = createSimGateway({ world, process, store: disk.open(process), book, onDecided, onAck });
    process.onDeath(() => (gateways = gateways.filter((one) => one !== gateway)));
    gateways.push(gateway);
    return gateway;
  }

  const front = (): SimGateway | null => gateways.at(-1) ?? null;

  return {
    get front() {
      return front();
    },
    call(ask) {
      const gateway = front();
      gateway?.process.whenAwake(() => ask(gateway.engine));
    },
    accept(worker, link, epoch, sessionId, reply) {
      const gateway = front();
      if (gateway === null) reply(null);
      else gateway.process.whenAwake(() => reply(gateway.accept(worker, link, epoch, sessionId)));
    },
    start() {
      if (gateways.every((one) => leaving.has(one))) launch();
    },
    switchRelease(deadlineMs) {
      if (gateways.length === 0 || gateways.length >= MAX_ALIVE) return;
      const before = [...gateways];
      launch();
      for (const old of before) {
        leaving.add(old);
        old.process.whenAwake(() => old.drain(deadlineMs));
      }
    },
    kill() {
      if (gateways.length > 0) world.random.pick(gateways).process.kill();
    },
    killAll() {
      for (const { process } of [...gateways]) process.kill();
    },
  };
}
