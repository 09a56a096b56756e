/**
 * One reader of one prediction: what it has been told, and what to tell it next. It pulls: whatever happens, the next text
 * is made from how things stand, so a slow reader costs no queue, and states that it missed are left out. Parts never are.
 */
import { TERMINAL, type Job, type Payload } from '../../dispatch/job.ts';
import type { JobWatch } from '../ports.ts';
import { asBuffer } from './render.ts';
import { positionId, sseEvent, type Position } from './sse.ts';

export class Reader {
  readonly #watch: JobWatch;
  /** The attempt that `#seq` and `#offset` belong to; 0: it has been told no part yet. */
  #attempt = 0;
  /** The next part to tell. */
  #seq = 0;
  /** Bytes of a binary output that were told. */
  #offset = 0;
  #whole = false;
  #done = false;
  #status = '';
  #progress = '';
  /** The parts of a decided output, once they were needed. */
  #stored: readonly Payload[] | null = null;

  constructor(watch: JobWatch, from: Position | null) {
    this.#watch = watch;
    if (from === null) return;
    this.#attempt = from.attempt;
    if (from.type === 'part') {
      this.#seq = from.seq + 1;
      this.#offset = from.offset;
    } else {
      this.#whole = from.type === 'all';
      this.#done = from.type === 'done';
    }
  }

  get done(): boolean {
    return this.#done;
  }

  /** The next event; null: nothing more for now, or for good (`done`). */
  next(): string | null {
    if (this.#done) return null;
    const { job, attempt } = this.#watch;
    const status = `${job.status} ${job.attempt}`;
    if (status !== this.#status) {
      this.#status = status;
      return sseEvent('status', JSON.stringify({ id: job.id, status: job.status, attempt: job.attempt }));
    }
    if (this.#attempt !== 0 && this.#attempt !== attempt) return this.#reset(attempt);
    return (
      this.#nextProgress(job) ?? this.#nextPart(job, attempt) ?? (TERMINAL.has(job.status) ? this.#end(job) : null)
    );
  }

  /** What was told belongs to an attempt that was lost: the output begins again. */
  #reset(attempt: number): string {
    this.#attempt = 0;
    this.#seq = this.#offset = 0;
    this.#whole = false;
    return sseEvent('reset', JSON.stringify({ attempt }));
  }

  #nextProgress({ status, progress }: Job): string | null {
    if (progress === null || status !== 'processing') return null;
    const text = JSON.stringify(progress);
    if (text === this.#progress) return null;
    this.#progress = text;
    return sseEvent('progress', text);
  }

  #nextPart(job: Job, attempt: number): string | null {
    if (this.#whole) return null;
    if (this.#seq < this.#watch.partCount) return this.#tell(this.#watch.part(this.#seq), attempt);
    if (job.status !== 'succeeded' || job.output === null) return null;
    // What the log does not have any more, or never had, is in the result.
    const { contentType } = job.output;
    if (isJson(contentType)) {
      this.#stored ??= elementsOf(job.output, this.#seq > 0);
      if (this.#stored !== null) {
        const part = this.#stored[this.#seq];
        return part === undefined ? null : this.#tell(part, attempt);
      }
      if (this.#seq > 0) return null;
    } else if (this.#seq > 0) {
      const rest = job.output.bytes.subarray(this.#offset);
      return rest.byteLength === 0 ? null : this.#tell({ contentType, bytes: rest }, attempt);
    }
    this.#whole = true;
    this.#attempt = attempt;
    return sseEvent('output', dataOf(job.output), positionId({ type: 'all', attempt }));
  }

  #tell(part: Payload, attempt: number): string {
    const seq = this.#seq;
    this.#attempt = attempt;
    this.#seq += 1;
    if (!isJson(part.contentType) && !isText(part.contentType)) this.#offset += part.bytes.byteLength;
    return sseEvent('output', dataOf(part), positionId({ type: 'part', attempt, seq, offset: this.#offset }));
  }

  #end({ status, error, attempt }: Job): string {
    this.#done = true;
    const id = positionId({ type: 'done', attempt });
    if (status === 'succeeded') return sseEvent('done', '{}', id);
    if (status === 'canceled') return sseEvent('done', '{"reason":"canceled"}', id);
    const detail = JSON.stringify({
      detail: error?.message ?? `the prediction was ${status}`,
      code: error?.code ?? null,
    });
    return sseEvent('error', detail) + sseEvent('done', '{"reason":"error"}', id);
  }
}

const isJson = (contentType: string): boolean => /^application\/json(?:;|$)/.test(contentType);
const isText = (contentType: string): boolean => contentType.startsWith('text/');

/** Text and JSON as they are; other bytes as a data URL, as in the prediction. */
function dataOf({ contentType, bytes }: Payload): string {
  const buffer = asBuffer(bytes);
  if (isJson(contentType) || isText(contentType)) return buffer.toString('utf8');
  return `data:${contentType};base64,${buffer.toString('base64')}`;
}

/**
 * The parts that a JSON output is the sum of. An array of texts is told text by text, streamed or not; another array only to
 * a reader that was told some of it before, because it alone shows that this output was streamed. null: it is told as one.
 */
function elementsOf({ bytes }: Payload, streamed: boolean): readonly Payload[] | null {
  // Most outputs are objects: those need not be parsed to know it.
  if (!/^\s*\[/.test(asBuffer(bytes.subarray(0, 64)).toString('latin1'))) return null;
  const value: unknown = JSON.parse(asBuffer(bytes).toString('utf8'));
  if (!Array.isArray(value) || value.length === 0) return null;
  const elements = value as unknown[];
  if (!streamed && !elements.every((element) => typeof element === 'string')) return null;
  return elements.map((element) =>
    typeof element === 'string'
      ? { contentType: 'text/plain', bytes: Buffer.from(element) }
      : { contentType: 'application/json', bytes: Buffer.from(JSON.stringify(element)) },
  );
}
