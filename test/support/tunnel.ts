/** A real tunnel on loopback for tests: a listener and links over mutual TLS, each with a journal of what it reported. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import type { Clock } from '../../src/clock.ts';
import type { Job } from '../../src/dispatch/job.ts';
import { createWorkerListener } from '../../src/gateway/listener.ts';
import type { WorkerListenerConfig } from '../../src/gateway/listener.ts';
import type { GatewaySession, SessionEvents } from '../../src/gateway/ports.ts';
import { openIdentity } from '../../src/identity/identity.ts';
import type { GatewayIdentity } from '../../src/identity/identity.ts';
import { silentLogger } from '../../src/logger.ts';
import { createWorkerLink } from '../../src/worker/link.ts';
import type { WorkerLinkConfig } from '../../src/worker/link.ts';
import type { AttemptEnd, LinkEvents, WorkerLink } from '../../src/worker/ports.ts';
import { createJournal } from './journal.ts';
import type { Journal } from './journal.ts';

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

/** Waits for the nth (from 1) event of this name, and gives its arguments. */
export function heard<Events extends object, Name extends Told<Events>['type']>(
  journal: Journal<Told<Events>>,
  type: Name,
  nth = 1,
): Promise<Extract<Told<Events>, { type: Name }>['args']> {
  return journal.until(() => journal.entries.filter((entry) => entry.type === type)[nth - 1]?.args as never);
}

export const TIMINGS = { queueMs: 0, decodeMs: 0, batchMs: 0, computeMs: 0 };
export const ECHO = { name: 'echo', version: '1', state: 'ready', kind: 'echo', maxRows: 8 } as const;

export async function makeIdentity(t: TestContext, clock: Clock = systemClock): Promise<GatewayIdentity> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-tunnel-'));
  t.after(() => rm(folder, { recursive: true }));
  return openIdentity({ folder: join(folder, 'identity'), hosts: [], clock });
}

export interface Tunnel {
  readonly identity: GatewayIdentity;
  readonly port: number;
  readonly listener: ReturnType<typeof createWorkerListener>;
  readonly journal: GatewayJournal;
}

export interface TunnelOptions {
  readonly identity?: GatewayIdentity;
  readonly clock?: Clock;
  readonly config?: Partial<WorkerListenerConfig>;
  /** Beside the journal. */
  readonly events?: Partial<SessionEvents>;
}

/** A listening gateway end; stopped after the test. */
export async function openTunnel(t: TestContext, options: TunnelOptions = {}): Promise<Tunnel> {
  const clock = options.clock ?? systemClock;
  const identity = options.identity ?? (await makeIdentity(t));
  const { events, journal } = recorder<SessionEvents>();
  const listener = createWorkerListener({
    config: { host: '127.0.0.1', port: 0, gateway: 'test', leaseMs: 30_000, ...options.config },
    identity,
    events: withMore(events, options.events),
    logger: silentLogger,
    clock,
  });
  await listener.start();
  t.after(() => listener.stop());
  return { identity, port: listener.port, listener, journal };
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

export interface TestLink {
  readonly link: WorkerLink;
  readonly journal: WorkerJournal;
}

export interface LinkOptions {
  readonly name?: string;
  readonly clock?: Clock;
  readonly config?: Partial<WorkerLinkConfig>;
  readonly events?: Partial<LinkEvents>;
}

/** A dialling worker end; stopped after the test. */
export async function openLink(
  t: TestContext,
  tunnel: Pick<Tunnel, 'identity' | 'port'>,
  options: LinkOptions = {},
): Promise<TestLink> {
  const made = await tunnel.identity.issueWorker(options.name ?? 'gpu-1', 86_400_000);
  const { events, journal } = recorder<LinkEvents>();
  const link = createWorkerLink({
    config: { host: '127.0.0.1', port: tunnel.port, ...options.config },
    identity: { ...made, caPem: tunnel.identity.caPem },
    events: withMore(events, options.events),
    logger: silentLogger,
    clock: options.clock ?? systemClock,
    random: Math.random,
  });
  t.after(() => link.stop());
  await link.start();
  return { link, journal };
}

/** The session after the nth onOpen. */
export async function sessionOf(tunnel: Pick<Tunnel, 'journal'>, nth = 1): Promise<GatewaySession> {
  const [session] = await heard<SessionEvents, 'onOpen'>(tunnel.journal, 'onOpen', nth);
  return session;
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
    output: null,
    error: null,
    timings: null,
    ...changes,
  };
}

export function resultOf(output: Uint8Array): AttemptEnd {
  return { type: 'result', contentType: 'application/octet-stream', output, timings: TIMINGS };
}
