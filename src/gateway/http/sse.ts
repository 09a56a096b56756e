/** Server-sent events as text (WHATWG HTML, section 9.2), and the ids by which a reader resumes. Pure. */

export const SSE_HEADERS: readonly string[] = [
  'content-type',
  'text/event-stream; charset=utf-8',
  'cache-control',
  'no-store',
  // Nginx would collect events until its buffer is full.
  'x-accel-buffering',
  'no',
];

/** One event. Data of several lines is sent as several, and the reader joins them with `\n`. */
export function sseEvent(name: string, data: string, id?: string): string {
  const lines = /[\r\n]/.test(data) ? data.split(/\r\n|\r|\n/).join('\ndata: ') : data;
  return `event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${lines}\n\n`;
}

/** A line that readers pass over. */
export const sseComment = (text: string): string => `: ${text}\n\n`;

/** After the end of this answer a reader waits so long before it asks again. */
export const sseRetry = (delayMs: number): string => `retry: ${delayMs}\n\n`;

/**
 * How far a reader is. Parts are `<attempt>-<number>`; of a binary output `<attempt>-<number>-<offset>`, the offset behind the
 * part, because the stored output knows no parts. `<attempt>-all`: the output came as one. `<attempt>-done`: nothing follows.
 */
export type Position =
  | { readonly type: 'part'; readonly attempt: number; readonly seq: number; readonly offset: number }
  | { readonly type: 'all' | 'done'; readonly attempt: number };

export function positionId(position: Position): string {
  if (position.type !== 'part') return `${position.attempt}-${position.type}`;
  const { attempt, seq, offset } = position;
  return `${attempt}-${seq}${offset === 0 ? '' : `-${offset}`}`;
}

/** What is no id of ours is a reader at the beginning. */
export function readPosition(id: string | undefined): Position | null {
  const match = /^(\d{1,7})-(?:(all|done)|(\d{1,9})(?:-(\d{1,9}))?)$/.exec(id ?? '');
  if (match === null) return null;
  const [, attempt, word, seq, offset] = match;
  if (word !== undefined) return { type: word as 'all' | 'done', attempt: Number(attempt) };
  return { type: 'part', attempt: Number(attempt), seq: Number(seq), offset: Number(offset ?? 0) };
}
