/**
 * A link as bad as links are: messages of one lane arrive in order or not at all; latency varies; a cut loses what is under
 * way in both directions; and each end learns of the cut when it likes. `data` is a second lane, as data connections are:
 * what goes there overtakes control messages and is overtaken by them.
 *
 * A partition, in one direction or both, delivers nothing until it is healed; then whatever was sent meanwhile arrives, as TCP
 * would send it again, unless an end gave up first. An end of the connection does not get through either.
 */
import type { World } from './world.ts';

export type Side = 'gateway' | 'worker';
export type Lane = 'control' | 'data';

export interface Link {
  /** Delivers to the other side, unless the link is cut before. */
  send(from: Side, lane: Lane, deliver: () => void): void;
  /** Nothing arrives any more. Each side's `onLost` comes later, on its own. */
  cut(): void;
  /** One side ends it: the other one hears of it after what was sent before. */
  close(from: Side, orderly: boolean): void;
  /** Called at most once per side. */
  onLost(side: Side, fn: (orderly: boolean) => void): void;
  readonly alive: boolean;
}

export interface WireConditions {
  readonly latencyMs: readonly [number, number];
  /** How long after a cut a side notices. */
  readonly noticeMs: readonly [number, number];
  /** Until when nothing gets through that this side sends, on the monotonic clock; Infinity: never again. */
  readonly blockedUntilMs: (from: Side) => number;
}

export function createLink(world: World, conditions: () => WireConditions): Link {
  const { random } = world;
  /** Per direction and lane: when the latest message arrives, because none overtakes it. */
  const latest = new Map<string, number>();
  const lost: Partial<Record<Side, ((orderly: boolean) => void) | null>> = {};
  let alive = true;

  function tell(side: Side, orderly: boolean): void {
    const fn = lost[side];
    lost[side] = null;
    fn?.(orderly);
  }

  /** How long from now until it is there. */
  function arrival(from: Side, lane: Lane): number {
    const { latencyMs, blockedUntilMs } = conditions();
    const [low, high] = latencyMs;
    const now = world.clock.monotonic();
    const key = `${from} ${lane}`;
    const sent = Math.max(now, blockedUntilMs(from)) + low + random.next() * (high - low);
    const at = Math.max(sent, latest.get(key) ?? 0);
    latest.set(key, at);
    return at - now;
  }

  return {
    get alive() {
      return alive;
    },
    send(from, lane, deliver) {
      if (!alive) return;
      const delayMs = arrival(from, lane);
      if (delayMs === Infinity) return;
      world.after(delayMs, () => {
        if (alive) deliver();
      });
    },
    cut() {
      if (!alive) return;
      alive = false;
      const { noticeMs, blockedUntilMs } = conditions();
      const [low, high] = noticeMs;
      const now = world.clock.monotonic();
      for (const side of ['gateway', 'worker'] as const) {
        const blockedMs = Math.max(0, blockedUntilMs(side === 'gateway' ? 'worker' : 'gateway') - now);
        // Behind a partition a side finds out by itself, from the silence.
        if (blockedMs < Infinity) world.after(blockedMs + low + random.next() * (high - low), () => tell(side, false));
      }
    },
    close(from, orderly) {
      lost[from] = null;
      if (!alive) return;
      const other: Side = from === 'gateway' ? 'worker' : 'gateway';
      const delayMs = arrival(from, 'control');
      if (delayMs === Infinity) return;
      world.after(delayMs, () => {
        alive = false;
        tell(other, orderly);
      });
    },
    onLost(side, fn) {
      lost[side] = fn;
    },
  };
}
