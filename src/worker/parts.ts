/**
 * What one attempt has put out so far, part by part: numbers the parts, bounds them, hands them to the link, and makes the
 * whole output of them. Owner of the order; the link owns what is sent of it and when.
 */
import { PosternError } from '../errors.ts';
import { MAX_PARTIAL_BYTES, MAX_PAYLOAD_BYTES } from '../protocol/limits.ts';
import type { Attempt, WorkerLink } from './ports.ts';
import type { Output } from './runner.ts';

/** Parts of one attempt: hours of speech at 20 tokens a second, and 20 MB of bookkeeping. */
export const MAX_PARTS = 262_144;

/** What a run tells of its attempts while they run. */
export type Reports = Pick<WorkerLink, 'partial' | 'progress'>;

export class Parts {
  readonly #attempt: Attempt;
  readonly #reports: Reports;
  readonly #parts: Output[] = [];
  #bytes = 0;
  #waiting: { readonly behind: Promise<void>; readonly promise: Promise<void>; readonly resolve: () => void } | null =
    null;

  constructor(attempt: Attempt, reports: Reports) {
    this.#attempt = attempt;
    this.#reports = reports;
  }

  get count(): number {
    return this.#parts.length;
  }

  /** Throws output_too_large beyond the limits. The bytes are kept as they are: they must not be changed afterwards. */
  add(part: Output): Promise<void> | undefined {
    const size = part.bytes.byteLength;
    if (size > MAX_PARTIAL_BYTES) {
      throw tooLarge(`a part of ${size} bytes; a part may have ${MAX_PARTIAL_BYTES}`);
    }
    if (this.#bytes + size > MAX_PAYLOAD_BYTES)
      throw tooLarge(`parts of more than ${MAX_PAYLOAD_BYTES} bytes together`);
    if (this.#parts.length >= MAX_PARTS) throw tooLarge(`more than ${MAX_PARTS} parts`);
    const seq = this.#parts.push(part) - 1;
    this.#bytes += size;
    const behind = this.#reports.partial(this.#attempt, seq, part.contentType, part.bytes);
    return behind === undefined ? undefined : this.#unlessLetGo(behind);
  }

  /** Who waits for a reader waits no more: it may never catch up, as when its gateway is gone. */
  letGo(): void {
    this.#waiting?.resolve();
  }

  #unlessLetGo(behind: Promise<void>): Promise<void> {
    if (this.#waiting?.behind !== behind) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting = { behind, promise, resolve };
      void behind.then(resolve);
    }
    return this.#waiting.promise;
  }

  /**
   * The whole: a JSON array when the parts are text or JSON (a string for each text, as callers of Replicate know it), else
   * their bytes one after another, which must then be of one type. Throws output_invalid, output_too_large.
   */
  output(): Output {
    const { contentType } = this.#parts[0]!;
    if (this.#parts.every((part) => isText(part) || isJson(part))) {
      const bytes = Buffer.from(`[${this.#parts.map(elementOf).join(',')}]`);
      return { contentType: 'application/json', bytes };
    }
    const other = this.#parts.find((part) => part.contentType !== contentType);
    if (other) {
      throw new PosternError(
        'output_invalid',
        `the parts of one output must have one type; these have ${contentType.slice(0, 100)} and ${other.contentType.slice(0, 100)}`,
      );
    }
    return {
      contentType,
      bytes: Buffer.concat(
        this.#parts.map((part) => part.bytes),
        this.#bytes,
      ),
    };
  }
}

const isText = ({ contentType }: Output): boolean => contentType.startsWith('text/');
const isJson = ({ contentType }: Output): boolean => /^application\/json(?:;|$)/.test(contentType);

/** JSON goes in as it came; whether it is JSON is found out once, where the whole is checked. */
function elementOf(part: Output): string {
  const { bytes } = part;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  return isText(part) ? JSON.stringify(text) : text;
}

function tooLarge(reason: string): PosternError {
  return new PosternError('output_too_large', `the model put out ${reason}`);
}
