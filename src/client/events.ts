/** Server-sent events from text (WHATWG HTML, section 9.2.6), fed in pieces of any size. Pure; runs in a browser. */

export interface ServerEvent {
  readonly event: string;
  readonly data: string;
  /** Of the last event that had one; empty: none had. */
  readonly id: string;
}

/** The largest output is 64 MiB; as a data URL it is a third longer. */
const MAX_EVENT_CHARACTERS = 100 * 1024 * 1024;

export class EventParser {
  /** What the server asked for with `retry`. */
  retryMs: number | null = null;
  /** Of the last event that was complete. */
  lastId = '';
  #rest: string[] = [];
  #restCharacters = 0;
  #event = '';
  #id = '';
  #data: string[] = [];
  #dataCharacters = 0;
  #afterReturn = false;

  /** The events that this piece completes. Throws RangeError when one has no end. */
  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    let from = 0;
    // A \r\n that was cut in two is one end of a line, not two.
    if (this.#afterReturn && text.length > 0) {
      if (text.startsWith('\n')) from = 1;
      this.#afterReturn = false;
    }
    const ends = /\r\n|\r|\n/g;
    ends.lastIndex = from;
    for (let end = ends.exec(text); end !== null; end = ends.exec(text)) {
      const line = this.#rest.join('') + text.slice(from, end.index);
      this.#rest = [];
      this.#restCharacters = 0;
      from = end.index + end[0].length;
      this.#afterReturn = end[0] === '\r' && from === text.length;
      const event = this.#line(line);
      if (event !== null) events.push(event);
    }
    if (from < text.length) {
      this.#rest.push(text.slice(from));
      this.#restCharacters += text.length - from;
    }
    if (this.#restCharacters + this.#dataCharacters > MAX_EVENT_CHARACTERS) {
      throw new RangeError(`an event of more than ${MAX_EVENT_CHARACTERS} characters`);
    }
    return events;
  }

  #line(line: string): ServerEvent | null {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') this.#event = value;
    else if (field === 'data') {
      this.#data.push(value);
      this.#dataCharacters += value.length;
    } else if (field === 'id' && !value.includes('\0')) this.#id = value;
    else if (field === 'retry' && /^\d{1,9}$/.test(value)) this.retryMs = Number(value);
    return null;
  }

  #dispatch(): ServerEvent | null {
    this.lastId = this.#id;
    const data = this.#data;
    const event = this.#event === '' ? 'message' : this.#event;
    this.#data = [];
    this.#dataCharacters = 0;
    this.#event = '';
    return data.length === 0 ? null : { event, data: data.join('\n'), id: this.#id };
  }
}
