/**
 * What supervisor and instance say to each other. Both sides of a switch may be of different releases: fields are only ever
 * added, and unknown ones are ignored. `HAND_OVER_VERSION` changes only when that is not enough.
 */
import { z } from 'zod';
import { PosternError } from '../errors.ts';

const fds = z.array(z.int().min(3).max(1_023)).max(16);

/** The argument of `gateway --hand-over`. */
const start = z.object({
  version: z.literal(1),
  release: z.string().min(1).max(100),
  instance: z.string().min(1).max(100),
  /** Path of the supervisor's socket. */
  control: z.string().min(1),
  /** Path of the socket that this instance answers on from the start. */
  private: z.string().min(1),
  /** Path that leads to the private socket of whoever serves. */
  active: z.string().min(1),
  /** Each `listen` uses up one descriptor of each socket. */
  http: z.union([z.object({ fds }), z.object({ port: z.int().min(1).max(65_535) })]),
  tunnel: z.object({ fds }),
});

export type HandOverStart = z.infer<typeof start>;

export function parseStart(text: string): HandOverStart {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    content = undefined;
  }
  const parsed = start.safeParse(content);
  if (parsed.success) return parsed.data;
  throw new PosternError('config_invalid', '--hand-over takes what a supervisor gives: do not use it by hand');
}

const phase = z.enum(['starting', 'standby', 'active', 'draining', 'failed', 'ended']);
export type Phase = z.infer<typeof phase>;

/** From an instance: first of all, and again whenever something of it changes. */
export const report = z.object({
  type: z.literal('instance'),
  instance: z.string().min(1).max(100),
  release: z.string().min(1).max(100),
  pid: z.int().min(1),
  phase,
  /** How often it can be told to listen. */
  listens_left: z.int().min(0),
  /** Connections of callers that it still has. */
  connections: z.int().min(0),
  /** Why it failed, or could not do what it was told. */
  message: z.string().max(4_000).nullable(),
});
export type Report = z.infer<typeof report>;

/** To an instance. */
export const order = z.discriminatedUnion('command', [
  z.object({ command: z.literal('listen') }),
  /** `for_good`: its sockets are closed, because nobody else would accept what the system queues there. */
  z.object({ command: z.literal('leave'), deadline_ms: z.int().min(0), for_good: z.boolean() }),
  z.object({ command: z.literal('stop'), deadline_ms: z.int().min(0) }),
  z.object({ command: z.literal('maintenance'), text: z.string().max(1_000).nullable() }),
]);
export type Order = z.infer<typeof order>;
