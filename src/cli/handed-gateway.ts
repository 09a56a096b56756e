/**
 * A gateway under a supervisor. Owner of: the phase of this process, and of which of the inherited sockets have been used. When it is told
 * to leave, its gateway lets everything go over; then a new one is made in its place that waits until it is needed again. The
 * connections that callers still have stay with the old one, which passes on what comes on them.
 */
import { closeSync } from 'node:fs';
import { sleep, systemClock } from '../clock.ts';
import type { HandOverStart, Order, Phase, Report } from '../deploy/hand-over.ts';
import { createInstanceLink } from '../deploy/instance-link.ts';
import { toPosternError } from '../errors.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { Logger } from '../logger.ts';
import type { Config } from './config.ts';
import { startGateway } from './gateway-process.ts';

export interface HandedGatewayOptions {
  readonly start: HandOverStart;
  readonly config: Config;
  readonly logger: Logger;
  readonly guides: readonly string[] | undefined;
}

/** Callers come and go meanwhile; a supervisor shows how many there are. */
const REPORT_MS = 1_000;
/** A reload of nginx starts its new workers within milliseconds, and its old ones accept no more then. */
const OLD_PORT_MS = 2_000;
/** What a report takes to be read before a process ends. */
const LAST_REPORT_MS = 200;

/** Resolves when this process has nothing more to do. Rejects when the gateway cannot be started. */
export async function runHandedGateway(options: HandedGatewayOptions, ending: Promise<string>): Promise<void> {
  const { start, config, logger } = options;
  const clock = systemClock;
  const stopped = Promise.withResolvers<void>();
  const doors = 'fds' in start.http ? start.http.fds.length : start.tunnel.fds.length;
  /** All that were made, the latest last. Those before it have left. */
  const gateways: Gateway[] = [];
  let phase: Phase = 'starting';
  let usedDoors = 0;
  let maintenance: string | null = null;
  let message: string | null = null;
  let work: Promise<unknown> = Promise.resolve();
  let isStopping = false;

  const link = createInstanceLink(start.control, clock, onOrder);
  const reporting = clock.every(REPORT_MS, report);

  function report(): void {
    const connections = gateways.reduce((sum, gateway) => sum + gateway.connectionCount, 0);
    const told: Report = {
      type: 'instance',
      instance: start.instance,
      release: start.release,
      pid: process.pid,
      phase,
      listens_left: doors - usedDoors,
      connections,
      message,
    };
    link.report(told);
  }

  function enter(next: Phase): void {
    logger.info('instance phase', { instance: start.instance, from: phase, to: next });
    phase = next;
    report();
  }

  async function prepare(): Promise<void> {
    const { gateway } = await startGateway(config, '0.0.0.0', logger, options.guides, {
      door: 'fds' in start.http ? { fd: start.http.fds[usedDoors]! } : { host: '127.0.0.1', port: start.http.port },
      tunnelDoor: { fd: start.tunnel.fds[usedDoors]! },
      privateSocket: start.private,
      nextSocket: start.active,
      release: `${start.release}/${start.instance}`,
    });
    gateway.setMaintenance(maintenance);
    gateways.push(gateway);
    enter('standby');
  }

  function onOrder(order: Order): void {
    if (order.command === 'maintenance') {
      maintenance = order.text;
      gateways.at(-1)?.setMaintenance(maintenance);
      return;
    }
    if (order.command === 'stop') isStopping = true;
    // One after another: each of them ends in a phase that the next one may begin from.
    work = work.then(() => obey(order)).catch(fail);
  }

  async function obey(order: Order): Promise<void> {
    const gateway = gateways.at(-1);
    if (order.command === 'listen' && phase === 'standby' && gateway !== undefined) {
      usedDoors += 1;
      for (const earlier of gateways.slice(0, -1)) earlier.closeDoor();
      await gateway.activate();
      enter('active');
    } else if (order.command === 'leave' && phase === 'active' && gateway !== undefined) {
      enter('draining');
      if (order.for_good) closeDoors();
      // A proxy that is being told of the other port still sends some requests to this one; then the next instance wants it.
      clock.after(OLD_PORT_MS, () => gateway.closeDoor());
      await gateway.leave(order.deadline_ms);
      if (usedDoors < doors && !isStopping) await prepare();
    } else if (order.command === 'stop') {
      await stop(order.deadline_ms);
    }
  }

  /** The system queues callers at a socket for as long as anybody has it open. */
  function closeDoors(): void {
    const left = [
      ...('fds' in start.http ? start.http.fds : []).slice(usedDoors),
      ...start.tunnel.fds.slice(usedDoors),
    ];
    for (const fd of left) closeSync(fd);
    usedDoors = doors;
  }

  async function stop(deadlineMs: number): Promise<void> {
    const latest = gateways.at(-1);
    if (phase === 'active') {
      enter('draining');
      await latest?.drain(config.drainMs);
    }
    for (const gateway of gateways) gateway.closeDoor();
    const emptied = Promise.all(gateways.map((gateway) => gateway.emptied()));
    if (phase === 'draining' || gateways.length > 1) await Promise.race([emptied, sleep(clock, deadlineMs)]);
    for (const gateway of gateways) await gateway.stop();
    stopped.resolve();
  }

  function fail(thrown: unknown): void {
    const error = toPosternError(thrown);
    message = error.message.slice(0, 4_000);
    logger.error('the instance failed', { error });
    enter('failed');
    stopped.reject(error);
  }

  report();
  void ending.then((reason) => {
    logger.info('asked to end', { reason });
    onOrder({ command: 'stop', deadline_ms: config.drainMs });
  });
  work = prepare().catch(fail);
  try {
    await stopped.promise;
  } finally {
    reporting.cancel();
    report();
    await Promise.race([link.end(), sleep(clock, LAST_REPORT_MS)]);
  }
}
