/**
 * One process of a release, as the supervisor sees it. Owner of: its last report, the connection to it, and whether it lives. A child
 * of this supervisor ends with its `exit`; one that an earlier supervisor started is watched by its pid and its connection.
 */
import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../clock.ts';
import type { Order, Phase, Report } from './hand-over.ts';
import { sendLine } from './json-lines.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface Instance {
  readonly name: string;
  readonly release: string;
  readonly pid: number;
  readonly phase: Phase;
  readonly report: Report | null;
  readonly startedAt: number;
  /** Of the log file, when it was started. */
  readonly logFrom: number;
  /** The port on which it listens by itself; null: it listens on the supervisor's sockets. */
  readonly port: number | null;
  /** null: it lives. */
  readonly exit: Exit | null;
  readonly exited: Promise<Exit>;
  /** Set before it is ended on purpose: then its exit is no crash. */
  isExpectedToEnd: boolean;
  /** The instance's own connection. It takes the place of an earlier one. */
  attach(socket: Socket): void;
  onReport(report: Report): void;
  send(order: Order): void;
  /** Resolves with true when the condition holds, with false when it exited or `timeoutMs` passed. Looks at every report. */
  until(condition: (report: Report) => boolean, timeoutMs: number): Promise<boolean>;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
}

export interface InstanceOptions {
  readonly name: string;
  readonly release: string;
  readonly pid: number;
  readonly port: number | null;
  /** null: it was started by an earlier supervisor. */
  readonly child: ChildProcess | null;
  readonly logFrom: number;
  readonly clock: Clock;
}

/** How often a process that is no child is looked for. */
const ALIVE_LOOK_MS = 250;

export function createInstance(options: InstanceOptions): Instance {
  const { name, release, pid, child, clock } = options;
  const looks = new Set<() => void>();
  const ended = Promise.withResolvers<Exit>();
  let socket: Socket | null = null;
  let report: Report | null = null;
  let exit: Exit | null = null;
  let watching: Timer | null = null;

  function end(how: Exit): void {
    if (exit !== null) return;
    exit = how;
    watching?.cancel();
    socket?.destroy();
    ended.resolve(how);
    for (const look of [...looks]) look();
  }

  if (child !== null) {
    child.once('exit', (code, signal) => end({ code, signal }));
    child.once('error', () => end({ code: null, signal: null }));
  } else {
    watching = clock.every(ALIVE_LOOK_MS, () => {
      if (!isAlive(pid)) end({ code: null, signal: null });
    });
  }

  return {
    name,
    release,
    pid,
    port: options.port,
    startedAt: clock.monotonic(),
    logFrom: options.logFrom,
    isExpectedToEnd: false,
    get phase() {
      return exit === null ? (report?.phase ?? 'starting') : 'ended';
    },
    get report() {
      return report;
    },
    get exit() {
      return exit;
    },
    exited: ended.promise,
    attach(next) {
      if (socket !== next) socket?.destroy();
      socket = next;
    },
    onReport(next) {
      report = next;
      for (const look of [...looks]) look();
    },
    send(order) {
      if (socket !== null) sendLine(socket, order);
    },
    until(condition, timeoutMs) {
      return new Promise((resolve) => {
        const finish = (result: boolean): void => {
          late.cancel();
          looks.delete(look);
          resolve(result);
        };
        const look = (): void => {
          if (exit !== null) finish(false);
          else if (report !== null && condition(report)) finish(true);
        };
        const late = clock.after(timeoutMs, () => finish(false));
        looks.add(look);
        look();
      });
    },
    kill(signal) {
      if (exit !== null) return;
      try {
        process.kill(pid, signal);
      } catch {
        // Gone in this moment: its exit is on its way.
      }
    },
  };
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
