/** What is refused for lack of room: asked before a large payload is written, and again inside the transaction. */
import type { Refusal } from './calls.ts';
import type { SqliteLimits } from './options.ts';

export interface Room {
  readonly waitingJobs: number;
  /** Of all jobs that are not decided. */
  readonly inputBytes: number;
}

export function refusalFor(model: string, bytes: number, room: Room, limits: SqliteLimits): Refusal | null {
  const { queueLimitJobs, maxInputBytes } = limits;
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
