/**
 * The one thread of a gateway. Messages that are there run first, then one handshake, as the event loop does it (`doorway.ts`: one handshake a
 * turn). Owner of: who waits for it.
 */
import { COSTS } from './costs.ts';
import { createHistogram } from './measures.ts';
import type { Timeline } from './timeline.ts';

interface Work {
  readonly cameAt: number;
  readonly costMs: number;
  readonly fn: () => void;
}

export type Thread = ReturnType<typeof createThread>;

export function createThread(timeline: Timeline) {
  const messages: Work[] = [];
  const handshakes: (() => void)[] = [];
  const waits = createHistogram();
  let freeAt = 0;
  let isPlanned = false;
  let busyMs = 0;
  let messageHead = 0;

  function plan(): void {
    if (isPlanned) return;
    isPlanned = true;
    timeline.after(freeAt - timeline.nowMs, turn);
  }

  function spend(costMs: number): void {
    freeAt = Math.max(freeAt, timeline.nowMs) + costMs;
    busyMs += costMs;
  }

  function turn(): void {
    isPlanned = false;
    while (messageHead < messages.length) {
      const { cameAt, costMs, fn } = messages[messageHead++]!;
      waits.add(Math.max(timeline.nowMs, freeAt) - cameAt);
      spend(costMs);
      fn();
    }
    messages.length = 0;
    messageHead = 0;
    const begin = handshakes.shift();
    if (begin !== undefined) {
      spend(COSTS.handshakeMs);
      timeline.after(freeAt - timeline.nowMs, begin);
    }
    if (messages.length + handshakes.length > 0) plan();
  }

  return {
    run(costMs: number, fn: () => void): void {
      if (freeAt <= timeline.nowMs && messages.length === 0) {
        waits.add(0);
        spend(costMs);
        fn();
        return;
      }
      messages.push({ cameAt: timeline.nowMs, costMs, fn });
      plan();
    },
    /** Work that nobody waits for, such as pings. */
    spend,
    handshake(done: () => void): void {
      handshakes.push(done);
      plan();
    },
    waits,
    get waitingHandshakes() {
      return handshakes.length;
    },
    get busyMs() {
      return busyMs;
    },
  };
}
