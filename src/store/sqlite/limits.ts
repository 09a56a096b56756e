/** What is refused for lack of room: asked before a large payload is written, and again inside the transaction. */
import { overQuota } from '../quota.ts';
import type { Refusal } from './calls.ts';
import type { DiskLimits } from '../disk-limits.ts';

export interface Wanted {
  readonly model: string;
  /** Of the input. */
  readonly bytes: number;
  readonly maxUndecidedJobs: number | null;
}

export interface Room {
  /** Undecided jobs of the caller; only asked for where there is a quota. */
  readonly callerJobs: number;
  readonly waitingJobs: number;
  /** Of all jobs that are not decided. */
  readonly inputBytes: number;
}

export function refusalFor({ model, bytes, maxUndecidedJobs }: Wanted, room: Room, limits: DiskLimits): Refusal | null {
  const { queueLimitJobs, maxInputBytes } = limits;
  if (maxUndecidedJobs !== null && room.callerJobs >= maxUndecidedJobs) {
    return { type: 'refused', code: 'quota_exceeded', message: overQuota(maxUndecidedJobs) };
  }
  if (room.waitingJobs >= queueLimitJobs) {
    const message = `${queueLimitJobs} jobs wait for ${model}, which is the limit: try again later`;
    return { type: 'refused', code: 'queue_full', message };
  }
  if (room.inputBytes + bytes > maxInputBytes) {
    const message = `the inputs of waiting jobs fill ${maxInputBytes} bytes: try again later`;
    return { type: 'refused', code: 'overloaded', message };
  }
  return null;
}
