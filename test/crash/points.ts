/**
 * The points at which a process of the chain can be killed. The product knows nothing of them: `kill-at.ts` is loaded before it
 * and stands in front of what it calls to commit, to flush and to send.
 */
export const GATEWAY_POINTS = [
  'before a commit',
  'after a commit',
  'before a checkpoint',
  'after a checkpoint',
  'before a payload gets its name',
  'after a payload gets its name',
  'before a file is flushed',
  'after a file is flushed',
  'before an answer to a caller',
  'after an answer to a caller',
  'before a send on the tunnel',
  'after a send on the tunnel',
] as const;

export const WORKER_POINTS = [
  'before a commit',
  'after a commit',
  'before a send on the tunnel',
  'after a send on the tunnel',
  'before a file is flushed',
  'after a file is flushed',
  'before a file is written',
  'after a file is written',
] as const;

export type KillPoint = (typeof GATEWAY_POINTS)[number] | (typeof WORKER_POINTS)[number];

/** `after a commit:17`: killed when it passes there for the 17th time. */
export const KILL_AT = 'POSTERN_TEST_KILL_AT';
