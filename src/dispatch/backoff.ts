/**
 * How long a job that failed waits before it is tried again: exponential with full jitter, so that a hundred jobs that failed
 * together do not come back together. The draw is made from the job and its attempt, not from a generator: every driver of
 * the store then draws the same, and a simulation replays.
 */
import type { JobId } from './job.ts';

const BASE_MS = 500;
export const MAX_BACKOFF_MS = 30_000;
/** 500 ms · 2⁶ is more than the longest wait already. */
const MAX_DOUBLINGS = 6;

/** Whole ms from 0 to 500 · 2ⁿ, at most 30 s. `failures`: how many attempts counted before this one (n). */
export function backoffMs(job: JobId, attempt: number, failures: number): number {
  const longestMs = Math.min(MAX_BACKOFF_MS, BASE_MS * 2 ** Math.min(failures, MAX_DOUBLINGS));
  return Math.floor(fraction(`${attempt} ${job}`) * (longestMs + 1));
}

/** Uniform in [0, 1): 32-bit FNV-1a, then mixed (murmur3's finisher), because the ends of ids differ in few bits. */
function fraction(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return ((value ^ (value >>> 16)) >>> 0) / 2 ** 32;
}

/**
 * May a job that waits until `notBefore` be tried now? Also when the wall clock was put back by more than any wait: a clock
 * that jumps must take nothing from anybody.
 */
export function isDue(notBefore: number, nowMs: number): boolean {
  return notBefore <= nowMs || notBefore > nowMs + MAX_BACKOFF_MS;
}
