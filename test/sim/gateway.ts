/**
 * One gateway process of the simulation: the real engine, dispatcher and store driver, behind sessions that keep the rules of
 * the real ones (one session per worker name, a newer epoch replaces an older one, 15 s of silence end it).
 */
import { createEngine, type Engine } from '../../src/gateway/engine.ts';
import type { GatewaySession } from '../../src/gateway/worker-ports.ts';
import { PosternError } from '../../src/errors.ts';
import { silentLogger } from '../../src/logger.ts';
import type { WantedVersions } from '../../src/protocol/messages.ts';
import type { RolloutBook } from '../../src/gateway/rollouts/book.ts';
import { DEAD_MS, PING_MS } from '../../src/protocol/limits.ts';
import type { Fence, Job } from '../../src/dispatch/job.ts';
import type { Store } from '../../src/store/store.ts';
import type { SimProcess } from './process.ts';
import type { Link } from './wire.ts';
import type { World } from './world.ts';

interface Known {
  readonly sessionId: string;
  readonly epoch: number;
  readonly session: SimSession;
}

/** What the gateway's end needs of a worker: a name, and ears. */
export interface SimPeer {
  readonly name: string;
  /** Runs `fn` now, or when a paused worker goes on. */
  whenAwake(fn: () => void): void;
  onAssign(link: Link, job: Job, version: string): void;
  onDeploy(link: Link, models: readonly WantedVersions[]): void;
  onCancel(link: Link, fence: Fence, reason: string): void;
  onAck(link: Link, fences: readonly Fence[]): void;
  onPong(link: Link): void;
  onGatewayDrain(link: Link): void;
}

export interface SimSession extends GatewaySession {
  readonly link: Link;
  /** Something arrived from the worker: `deliver` runs unless the session is over. */
  hear(deliver: (session: SimSession, engine: Engine) => void): void;
  pong(): void;
}

export interface SimGateway {
  readonly process: SimProcess;
  readonly engine: Engine;
  /** A worker's hello arrived. null: refused. */
  accept(worker: SimPeer, link: Link, epoch: number, sessionId: string): SimSession | null;
  drainSession(worker: string): void;
  /** As a release that is replaced: accepts nothing new, lets what runs end, and goes. */
  drain(deadlineMs: number): void;
}

export interface SimGatewayOptions {
  readonly world: World;
  readonly process: SimProcess;
  readonly store: Store;
  /** Of all processes on this disk. */
  readonly book: RolloutBook;
  readonly onDecided: (job: Job, gateway: string) => void;
  readonly onAck: (fences: readonly Fence[]) => void;
}

interface Ending extends SimSession {
  ended: boolean;
  heardAt: number;
  lastSeenAt: number;
  end(error: PosternError | null): void;
}

/** Short enough that what was replaced is unloaded while faults go on. */
const SOAK_MS = 4_000;

export function createSimGateway({ world, process, store, book, onDecided, onAck }: SimGatewayOptions): SimGateway {
  const { random } = world;
  const { clock } = process;
  const known = new Map<string, Known & { readonly session: Ending }>();
  let isDraining = false;
  const engine = createEngine({
    clock,
    logger: silentLogger,
    store,
    rollouts: { ...book, onChange: (observer) => book.onChange(() => process.whenAwake(observer)) },
    soakMs: SOAK_MS,
    random: () => random.next(),
    randomBytes: (count) => random.bytes(count),
    defer: (flush) => process.defer(flush),
  });

  function newSession(worker: SimPeer, link: Link, sessionId: string): Ending {
    const toWorker = (deliver: (worker: SimPeer) => void): void => {
      if (!session.ended) link.send('gateway', 'control', () => worker.whenAwake(() => deliver(worker)));
    };
    const session: Ending = {
      id: sessionId,
      worker: worker.name,
      previous: [],
      agent: 'sim',
      address: '127.0.0.1',
      certificateEndsAt: 0,
      connectedAt: clock.now(),
      roundTripMs: null,
      link,
      ended: false,
      heardAt: clock.monotonic(),
      lastSeenAt: clock.now(),
      assign(job, version) {
        world.trace(`assign ${job.id} ${job.attempt} ${worker.name}`);
        toWorker((to) => to.onAssign(link, job, version));
      },
      deploy(models) {
        world.trace(
          `deploy ${worker.name} ${models.map(({ name, versions }) => `${name}@${versions.join()}`).join(' ')}`,
        );
        toWorker((to) => to.onDeploy(link, models));
      },
      deny: () => undefined,
      request() {
        throw new Error('no exchanges here');
      },
      cancel(fence, reason) {
        toWorker((to) => to.onCancel(link, fence, reason));
      },
      ack(fences: readonly Fence[]) {
        onAck(fences);
        toWorker((to) => to.onAck(link, fences));
      },
      // Simulated workers do not stream.
      ackParts: () => undefined,
      drain(deadlineMs) {
        toWorker((to) => to.onGatewayDrain(link));
        clock.after(deadlineMs, () => session.end(null));
        return Promise.resolve();
      },
      close(code, reason) {
        world.trace(`close ${worker.name} ${code}`);
        session.end(code === 'draining' ? null : new PosternError(code as PosternError['code'], reason));
      },
      pong: () => toWorker((to) => to.onPong(link)),
      hear(deliver) {
        process.whenAwake(() => {
          if (session.ended) return;
          session.heardAt = clock.monotonic();
          session.lastSeenAt = clock.now();
          deliver(session, engine);
        });
      },
      end(error) {
        if (session.ended) return;
        session.ended = true;
        engine.onClose(session, error);
        link.close('gateway', error === null);
      },
    };
    return session;
  }

  const tick = (): void => {
    for (const { session } of known.values()) {
      if (session.ended) continue;
      if (clock.monotonic() - session.heardAt > DEAD_MS) session.end(new PosternError('peer_dead', 'silent'));
      else if (session.heardAt > clock.monotonic() - PING_MS) engine.onHeard(session);
    }
  };

  process.onDeath(() => {
    // Timers of a dead process never fire; this one only spares the queue of events.
    void engine.stop();
    for (const { session } of known.values()) {
      session.ended = true;
      session.link.cut();
    }
  });
  engine.onDecided((job) => onDecided(job, process.name));
  void engine.start();
  clock.every(PING_MS, tick);

  return {
    process,
    engine,
    accept(worker, link, epoch, sessionId) {
      if (isDraining) return null;
      const before = known.get(worker.name);
      const resumed = before?.sessionId === sessionId;
      if (before && resumed && epoch <= before.epoch) return null;
      before?.session.end(new PosternError('superseded', 'dialled again'));
      const session = newSession(worker, link, sessionId);
      known.set(worker.name, { sessionId, epoch, session });
      link.onLost('gateway', (orderly) =>
        process.whenAwake(() => session.end(orderly ? null : new PosternError('connection_lost', 'the link is gone'))),
      );
      engine.onOpen(session, resumed);
      return session;
    },
    drainSession(worker) {
      const session = known.get(worker)?.session;
      if (session && !session.ended) void session.drain(5_000, 'a release');
    },
    drain(deadlineMs) {
      if (isDraining) return;
      world.trace(`${process.name} drains`);
      void engine.drain(deadlineMs).then(() => {
        isDraining = true;
        for (const { session } of known.values()) void session.drain(2_000, 'a release');
        clock.after(2_500, () => {
          for (const { session } of known.values()) session.end(null);
          // What the sessions gave back is committed before the process goes.
          clock.after(1_000, () => process.kill());
        });
      });
    },
  };
}
