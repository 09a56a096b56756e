/** A real tunnel on loopback for tests: a listener and links over mutual TLS, each with a journal of what it reported. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import type { Clock } from '../../src/clock.ts';
import type { Job } from '../../src/dispatch/job.ts';
import { createWorkerListener } from '../../src/gateway/listener.ts';
import type { WorkerListenerConfig } from '../../src/gateway/listener.ts';
import type { Neighbours } from '../../src/gateway/neighbours.ts';
import type { GatewaySession, SessionEvents } from '../../src/gateway/worker-ports.ts';
import { openIdentity } from '../../src/identity/identity.ts';
import type { GatewayIdentity } from '../../src/identity/identity.ts';
import type { TunnelIdentity } from '../../src/identity/tunnel-identity.ts';
import { silentLogger } from '../../src/logger.ts';
import type { LogFields, Logger } from '../../src/logger.ts';
import type { LinkCredentials } from '../../src/worker/credentials.ts';
import type { LinkSettings } from '../../src/worker/link-config.ts';
import { createWorkerLinks } from '../../src/worker/links/links.ts';
import type { AttemptEnd, LinkEvents, WorkerLink } from '../../src/worker/ports.ts';
import type { Spool } from '../../src/worker/spool.ts';
import { createJournal } from './journal.ts';
import type { Journal } from './journal.ts';
import { fixedCredentials, openToAll } from './tunnel-identity.ts';
import { assertNothingLeft, createCountingClock, openSockets } from './leaks.ts';

/** An event by its name, with its arguments. */
export type Told<Events> = {
  [Name in keyof Events]: Events[Name] extends (...args: infer Args) => void ? { type: Name; args: Args } : never;
}[keyof Events];

export type GatewayJournal = Journal<Told<SessionEvents>>;
export type WorkerJournal = Journal<Told<LinkEvents>>;

/** An object whose every method writes to a journal. */
function recorder<Events extends object>(): { events: Events; journal: Journal<Told<Events>> } {
  const journal = createJournal<Told<Events>>();
  const events = new Proxy({} as Events, {
    get:
      (_, type) =>
      (...args: unknown[]) =>
        journal.add({ type, args } as Told<Events>),
  });
  return { events, journal };
}

/** Waits for the nth (from 1) event of this name on the gateway, and gives its arguments. */
export const onGateway = <Name extends keyof SessionEvents>({ journal }: Tunnel, name: Name, nth = 1) =>
  journal.until(() => journal.entries.filter(({ type }) => type === name)[nth - 1]?.args) as Promise<
    Parameters<SessionEvents[Name]>
  >;

/** The same on the worker. */
export const onWorker = <Name extends keyof LinkEvents>({ journal }: TestLink, name: Name, nth = 1) =>
  journal.until(() => journal.entries.filter(({ type }) => type === name)[nth - 1]?.args) as Promise<
    Parameters<LinkEvents[Name]>
  >;

export const TIMINGS = { queueMs: 0, decodeMs: 0, batchMs: 0, computeMs: 0 };
export const ECHO = { name: 'echo', version: '1', state: 'ready', kind: 'echo', maxRows: 8 } as const;

/** Everything of one test: what it opens here is closed after it, and then nothing may be left. */
export interface Scene {
  readonly identity: GatewayIdentity;
  /** The content of a file of the identity's folder. */
  readKey(file: string): Promise<string>;
  openTunnel(options?: TunnelOptions): Promise<Tunnel>;
  openLink(tunnel: Pick<Tunnel, 'port'>, options?: LinkOptions): Promise<TestLink>;
  /** Closed after the test, newest first. */
  onEnd(close: () => unknown): void;
}

/** A test with a scene. Times out after 60 s, because the tests wait for signals without a limit of their own. */
export function tunnelTest(name: string, body: (scene: Scene) => Promise<void>): void {
  void test(name, { timeout: 60_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-tunnel-'));
    const identity = await openIdentity({ folder: join(folder, 'identity'), hosts: [], clock: systemClock });
    const clock = createCountingClock();
    const before = openSockets();
    const ends: (() => unknown)[] = [];
    const scene: Scene = {
      identity,
      readKey: (file) => readFile(join(folder, 'identity', file), 'utf8'),
      openTunnel: (options = {}) => openTunnel(scene, { clock, ...options }),
      openLink: (tunnel, options = {}) => openLink(scene, tunnel, { clock, ...options }),
      onEnd: (close) => void ends.push(close),
    };
    // A link between two dials keeps no process alive; a test that waits for its next one must.
    const hold = setInterval(() => undefined, 1_000);
    try {
      await body(scene);
    } finally {
      clearInterval(hold);
      for (const close of ends.reverse()) await close();
      await rm(folder, { recursive: true });
    }
    await assertNothingLeft(before, clock);
  });
}

export interface Tunnel {
  readonly port: number;
  readonly listener: ReturnType<typeof createWorkerListener>;
  readonly journal: GatewayJournal;
}

export interface TunnelOptions {
  /** Default: whoever the scene's authority signed gets in. */
  readonly identity?: TunnelIdentity;
  readonly clock?: Clock;
  readonly config?: Partial<WorkerListenerConfig>;
  /** Beside the journal. */
  readonly events?: Partial<SessionEvents>;
  readonly neighbours?: Neighbours;
}

async function openTunnel(scene: Scene, options: TunnelOptions): Promise<Tunnel> {
  const { events, journal } = recorder<SessionEvents>();
  const listener = createWorkerListener({
    config: { host: '127.0.0.1', port: 0, gateway: 'test', leaseMs: 30_000, ...options.config },
    identity: options.identity ?? openToAll(scene.identity),
    events: withMore(events, options.events),
    neighbours: options.neighbours ?? null,
    logger: silentLogger,
    clock: options.clock ?? systemClock,
  });
  scene.onEnd(() => listener.stop());
  await listener.start();
  return { port: listener.port, listener, journal };
}

/** Both hear everything; the recorder first. */
function withMore<Events extends object>(events: Events, more: Partial<Events> = {}): Events {
  type Method = ((...args: unknown[]) => void) | undefined;
  return new Proxy(events, {
    get:
      (target, name) =>
      (...args: unknown[]) => {
        (target[name as keyof Events] as Method)?.(...args);
        (more[name as keyof Events] as Method)?.(...args);
      },
  });
}

export interface LogLine {
  readonly message: string;
  readonly fields: LogFields;
}

export interface TestLink {
  readonly link: WorkerLink;
  readonly journal: WorkerJournal;
  readonly log: Journal<LogLine>;
}

export interface LinkOptions {
  /** Further gateways to begin with. */
  readonly more?: readonly Pick<Tunnel, 'port'>[];
  readonly spool?: Spool | null;
  /** Default: a new certificate of the scene's authority. */
  readonly credentials?: LinkCredentials;
  readonly name?: string;
  readonly certificateTtlMs?: number;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly config?: LinkSettings;
  readonly events?: Partial<LinkEvents>;
}

async function openLink(scene: Scene, tunnel: Pick<Tunnel, 'port'>, options: LinkOptions): Promise<TestLink> {
  const made = await scene.identity.issueWorker(options.name ?? 'gpu-1', options.certificateTtlMs ?? 86_400_000);
  const { events, journal } = recorder<LinkEvents>();
  const log = createJournal<LogLine>();
  const write = (message: string, fields: LogFields = {}): void => log.add({ message, fields });
  const logger: Logger = { ...silentLogger, info: write, warn: write, error: write };
  const link = createWorkerLinks({
    targets: [tunnel, ...(options.more ?? [])].map(({ port }) => ({ host: '127.0.0.1', port })),
    settings: options.config ?? {},
    credentials: options.credentials ?? fixedCredentials({ ...made, caPem: scene.identity.caPem }),
    events: withMore(events, options.events),
    logger,
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
    spool: options.spool ?? null,
  });
  scene.onEnd(() => link.stop());
  await link.start();
  return { link, journal, log };
}

/** The session after the nth onOpen. */
export async function sessionOf(tunnel: Tunnel, nth = 1): Promise<GatewaySession> {
  return (await onGateway(tunnel, 'onOpen', nth))[0];
}

export function makeJob(id: string, bytes: Uint8Array = Buffer.from('input'), changes: Partial<Job> = {}): Job {
  return {
    id,
    model: 'echo',
    version: null,
    input: { contentType: 'application/octet-stream', bytes },
    parameters: {},
    rows: 1,
    priority: 0,
    caller: 'anonymous',
    deadlineAt: null,
    idempotencyKey: null,
    webhook: null,
    status: 'processing',
    createdAt: 0,
    startedAt: 0,
    completedAt: null,
    attempt: 1,
    worker: 'gpu-1',
    session: null,
    servedVersion: '1',
    progress: null,
    cancelRequested: false,
    nextAttemptAt: null,
    solo: false,
    pastAttempts: [],
    output: null,
    error: null,
    timings: null,
    ...changes,
  };
}

export function resultOf(output: Uint8Array): AttemptEnd {
  return { type: 'result', contentType: 'application/octet-stream', output, timings: TIMINGS };
}
