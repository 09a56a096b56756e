/**
 * A link as bad as links are: messages of one lane arrive in order or not at all; latency varies; a cut loses what is under
 * way in both directions; and each end learns of the cut when it likes. `data` is a second lane, as data connections are:
 * what goes there overtakes control messages and is overtaken by them.
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

  function arrival(from: Side, lane: Lane): number {
    const [low, high] = conditions().latencyMs;
    const now = world.clock.monotonic();
    const key = `${from} ${lane}`;
    const at = Math.max(now + low + random.next() * (high - low), latest.get(key) ?? 0);
    latest.set(key, at);
    return at - now;
  }

  return {
    get alive() {
      return alive;
    },
    send(from, lane, deliver) {
      if (!alive) return;
      world.after(arrival(from, lane), () => {
        if (alive) deliver();
      });
    },
    cut() {
      if (!alive) return;
      alive = false;
      const [low, high] = conditions().noticeMs;
      for (const side of ['gateway', 'worker'] as const) {
        world.after(low + random.next() * (high - low), () => tell(side, false));
      }
    },
    close(from, orderly) {
      lost[from] = null;
      if (!alive) return;
      const other: Side = from === 'gateway' ? 'worker' : 'gateway';
      world.after(arrival(from, 'control'), () => {
        alive = false;
        tell(other, orderly);
      });
    },
    onLost(side, fn) {
      lost[side] = fn;
    },
  };
}
