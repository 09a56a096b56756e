/**
 * The gateway of the simulation: the real engine, dispatcher and store, behind sessions that keep the rules of the real
 * ones (one session per worker name, a newer epoch replaces an older one, 15 s of silence end it). It can be killed: a new
 * engine then starts over the same store, as it would over a durable one, and the old one's open questions are cut off.
 */
import { createEngine, type Engine } from '../../src/gateway/engine.ts';
import type { GatewaySession } from '../../src/gateway/ports.ts';
import { PosternError } from '../../src/errors.ts';
import { silentLogger } from '../../src/logger.ts';
import { DEAD_MS, PING_MS } from '../../src/protocol/limits.ts';
import type { Fence, Job } from '../../src/dispatch/job.ts';
import type { Store } from '../../src/store/store.ts';
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
  onCancel(link: Link, fence: Fence, reason: string): void;
  onAck(link: Link, fences: readonly Fence[]): void;
  onGatewayDrain(link: Link): void;
}

export interface SimSession extends GatewaySession {
  readonly link: Link;
  ended: boolean;
  heardAt: number;
  lastSeenAt: number;
  end(error: PosternError | null): void;
}

export interface SimGateway {
  /** null while it is down. */
  readonly engine: Engine | null;
  /** A worker's hello arrived. null: refused. */
  accept(worker: SimPeer, link: Link, epoch: number, sessionId: string): SimSession | null;
  kill(): void;
  start(): void;
  drainSession(worker: string): void;
  /** Grows with every start: an answer that belongs to an older life never arrives. */
  readonly life: number;
}

export interface SimGatewayOptions {
  readonly world: World;
  readonly store: Store;
  readonly onDecided: (job: Job) => void;
}

export function createSimGateway({ world, store, onDecided }: SimGatewayOptions): SimGateway {
  const { clock, random } = world;
  let engine: Engine | null = null;
  let life = 0;
  let known = new Map<string, Known>();

  /** The store as one life of the gateway sees it: slow, and silent once that life is over. */
  function slow(of: number): Store {
    let latestAnswerAt = 0;
    const later = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
      return (...args: A): Promise<R> =>
        new Promise((resolve, reject) => {
          // The writer works in the order of the questions, and its answers come back in that order, some time later.
          const answer = call(...args);
          const at = clock.monotonic() + (random.chance(0.5) ? 0 : random.next() * 20);
          latestAnswerAt = Math.max(latestAnswerAt, at);
          world.after(latestAnswerAt - clock.monotonic(), () => {
            if (of === life && engine) answer.then(resolve, reject);
          });
        });
    };
    return {
      start: () => Promise.resolve(),
      stop: () => Promise.resolve(),
      durable: true,
      submit: later((jobs) => store.submit(jobs)),
      claim: later((requests) => store.claim(requests)),
      heartbeat: later((session, leaseMs) => store.heartbeat(session, leaseMs)),
      progress: later((updates) => store.progress(updates)),
      settle: later((ends) => store.settle(ends)),
      cancel: later((id) => store.cancel(id)),
      release: later((session, counts) => store.release(session, counts)),
      reconcile: later((session, held) => store.reconcile(session, held)),
      sweep: later((limit) => store.sweep(limit)),
      stopClaiming: () => Promise.resolve(),
      get: later((id) => store.get(id)),
      list: later((request) => store.list(request)),
      counts: later(() => store.counts()),
      queuePosition: later((id) => store.queuePosition(id)),
    };
  }

  function newSession(worker: SimPeer, link: Link, sessionId: string): SimSession {
    const toWorker = (deliver: (worker: SimPeer) => void): void => {
      if (!session.ended) link.send('gateway', 'control', () => worker.whenAwake(() => deliver(worker)));
    };
    const session: SimSession = {
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
      cancel(fence, reason) {
        toWorker((to) => to.onCancel(link, fence, reason));
      },
      ack(fences: readonly Fence[]) {
        toWorker((to) => to.onAck(link, fences));
      },
      // Simulated workers do not stream.
      ackParts: () => undefined,
      drain(deadlineMs) {
        toWorker((to) => to.onGatewayDrain(link));
        world.after(deadlineMs, () => session.end(null));
        return Promise.resolve();
      },
      close(code, reason) {
        world.trace(`close ${worker.name} ${code}`);
        session.end(code === 'draining' ? null : new PosternError(code as PosternError['code'], reason));
      },
      end(error) {
        if (session.ended) return;
        session.ended = true;
        engine?.onClose(session, error);
        link.close('gateway', error === null);
      },
    };
    return session;
  }

  function tick(of: number): void {
    if (of !== life) return;
    for (const { session } of known.values()) {
      if (session.ended) continue;
      if (clock.monotonic() - session.heardAt > DEAD_MS) session.end(new PosternError('peer_dead', 'silent'));
      else if (session.heardAt > clock.monotonic() - PING_MS) engine?.onHeard(session);
    }
    world.after(PING_MS, () => tick(of));
  }

  return {
    get engine() {
      return engine;
    },
    get life() {
      return life;
    },
    accept(worker, link, epoch, sessionId) {
      if (!engine) return null;
      const before = known.get(worker.name);
      const resumed = before?.sessionId === sessionId;
      if (before && resumed && epoch <= before.epoch) return null;
      before?.session.end(new PosternError('superseded', 'dialled again'));
      const session = newSession(worker, link, sessionId);
      known.set(worker.name, { sessionId, epoch, session });
      link.onLost('gateway', (orderly) =>
        session.end(orderly ? null : new PosternError('connection_lost', 'the link is gone')),
      );
      engine.onOpen(session, resumed);
      return session;
    },
    drainSession(worker) {
      const session = known.get(worker)?.session;
      if (session && !session.ended) void session.drain(5_000, 'a release');
    },
    kill() {
      if (!engine) return;
      world.trace('gateway killed');
      const old = engine;
      engine = null;
      life += 1;
      void old.stop();
      for (const { session } of known.values()) {
        session.ended = true;
        session.link.cut();
      }
      known = new Map();
    },
    start() {
      if (engine) return;
      world.trace('gateway started');
      life += 1;
      engine = createEngine({
        clock,
        logger: silentLogger,
        store: slow(life),
        random: () => random.next(),
        randomBytes: (count) => random.bytes(count),
        defer: (flush) => {
          const of = life;
          world.defer(() => {
            if (of === life) flush();
          });
        },
      });
      engine.onDecided(onDecided);
      void engine.start();
      const of = life;
      world.after(PING_MS, () => tick(of));
    },
  };
}
