/**
 * An instance's connection to its supervisor: dialled again, for ever, when it is lost, so that an instance outlives the supervisor that
 * started it and reports to the next one.
 */
import { connect, type Socket } from 'node:net';
import type { Clock, Timer } from '../clock.ts';
import { order, type Order, type Report } from './hand-over.ts';
import { readLines, sendLine } from './json-lines.ts';

export interface InstanceLink {
  /** Says how things stand; said again by itself after each dial. */
  report(report: Report): void;
  /** Resolves when what was said last has left, or nobody listens. */
  end(): Promise<void>;
}

const REDIAL_MS = 200;

export function createInstanceLink(path: string, clock: Clock, onOrder: (order: Order) => void): InstanceLink {
  let socket: Socket | null = null;
  let latest: Report | null = null;
  let redial: Timer | null = null;
  let isEnding = false;

  function dial(): void {
    const next = connect(path);
    socket = next;
    next.on('error', () => undefined);
    next.once('connect', () => {
      if (latest !== null) sendLine(next, latest);
    });
    next.once('close', () => {
      if (socket === next) socket = null;
      if (!isEnding) redial = clock.after(REDIAL_MS, dial);
    });
    readLines(next, {
      onMessage(message) {
        const parsed = order.safeParse(message);
        // One of a newer supervisor that this release does not know.
        if (parsed.success) onOrder(parsed.data);
      },
    });
  }

  return {
    report(report) {
      latest = report;
      if (socket === null && redial === null) dial();
      else if (socket !== null && !socket.connecting) sendLine(socket, report);
    },
    end() {
      isEnding = true;
      redial?.cancel();
      const last = socket;
      if (last === null || last.connecting) {
        last?.destroy();
        return Promise.resolve();
      }
      return new Promise((resolve) => {
        last.once('close', () => resolve());
        last.end();
      });
    },
  };
}
