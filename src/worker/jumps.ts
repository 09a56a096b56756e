/**
 * Notices that the machine slept, or that the process stood still: whoever was connected before is probably gone, and
 * waiting for a timeout to find out would waste the time until then.
 */
import type { Clock, Timer } from '../clock.ts';

const CHECK_MS = 1_000;
const JUMP_MS = 5_000;

/** Calls `onJump` with its length when wall and monotonic clock part by more than 5 s (Linux's monotonic clock stands
 * still in sleep), or when this timer itself is more than 5 s late. */
export function watchJumps(clock: Clock, onJump: (jumpMs: number) => void): Timer {
  let wall = clock.now();
  let monotonic = clock.monotonic();
  return clock.every(CHECK_MS, () => {
    const wallMs = clock.now() - wall;
    const monotonicMs = clock.monotonic() - monotonic;
    wall += wallMs;
    monotonic += monotonicMs;
    const jumpMs = Math.max(Math.abs(wallMs - monotonicMs), monotonicMs - CHECK_MS);
    if (jumpMs > JUMP_MS) onJump(jumpMs);
  });
}
