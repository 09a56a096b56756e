/**
 * Virtual time in one thread: events run one by one in the order of their time, then of their making, and whatever is to settle between
 * two of them does. And the hash by which two runs are compared.
 */
import type { Timer } from '../../src/clock.ts';
import { createEventHeap, type PlannedEvent } from './event-heap.ts';

export interface VirtualTime {
  readonly nowMs: number;
  /** Runs `fn` after `delayMs` of virtual time. */
  readonly after: (delayMs: number, fn: () => void) => Timer;
  readonly every: (periodMs: number, fn: () => void) => Timer;
  /** Runs events until virtual time reaches `untilMs`, `stop` says so, or nothing is left. */
  readonly run: (untilMs: number, stop?: () => boolean) => Promise<void>;
  readonly events: number;
}

export interface VirtualTimeOptions {
  /** A run that needs more is stuck in a loop of its own. */
  readonly maxEvents: number;
  /** Lets everything that an event has set off come to its end. null: there is nothing. */
  readonly settle: () => Promise<void> | null;
}

export function createVirtualTime({ maxEvents, settle }: VirtualTimeOptions): VirtualTime {
  const heap = createEventHeap();
  let nowMs = 0;
  let order = 0;
  let events = 0;

  function after(delayMs: number, fn: () => void): Timer {
    const event: PlannedEvent = { atMs: nowMs + Math.max(0, delayMs), order: order++, fn };
    heap.push(event);
    return {
      cancel() {
        event.fn = null;
      },
    };
  }

  return {
    get nowMs() {
      return nowMs;
    },
    after,
    every: (periodMs, fn) => repeat(after, periodMs, fn),
    async run(untilMs, stop) {
      await settle();
      for (;;) {
        const next = heap.first;
        if (!next || next.atMs > untilMs || stop?.()) break;
        heap.pop();
        if (!next.fn) continue;
        nowMs = next.atMs;
        if (++events > maxEvents) throw new Error(`more than ${maxEvents} events: something repeats itself`);
        next.fn();
        const settling = settle();
        if (settling !== null) await settling;
      }
      if (!stop?.()) nowMs = Math.max(nowMs, untilMs);
    },
    get events() {
      return events;
    },
  };
}

/** What repeats, out of what happens once. */
export function repeat(after: VirtualTime['after'], periodMs: number, fn: () => void): Timer {
  let timer = after(periodMs, tick);
  function tick(): void {
    timer = after(periodMs, tick);
    fn();
  }
  return { cancel: () => timer.cancel() };
}

export interface TraceHash {
  mix(text: string): void;
  readonly hash: string;
}

export function createTraceHash(): TraceHash {
  let low = 0x811c9dc5;
  let high = 0x1b873593;
  const hex = (half: number): string => (half >>> 0).toString(16).padStart(8, '0');
  return {
    mix(text) {
      for (let i = 0; i < text.length; i += 1) {
        const code = text.charCodeAt(i);
        low = Math.imul(low ^ code, 0x01000193);
        high = Math.imul(high + code, 0x85ebca6b) ^ (low >>> 13);
      }
    },
    get hash() {
      return hex(high) + hex(low);
    },
  };
}
