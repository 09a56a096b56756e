/** Reads one event stream to its end, coming back with `Last-Event-ID` whenever it ends before, and checks that it tells every part once. */
import { setTimeout as pause } from 'node:timers/promises';

export interface StreamReading {
  /** What all parts together must be. */
  readonly text: string;
  readonly wrong: (what: string) => void;
  readonly count: (what: string) => void;
  /** One visit, to its end; `isOver`: the answer was that nothing follows. */
  readonly visit: (
    headers: Readonly<Record<string, string>>,
    onText: (text: string) => void,
  ) => Promise<{ readonly isGivenUp: boolean; readonly isOver: boolean }>;
}

const MAX_VISITS = 200;
const RETRY_MS = 250;

interface Event {
  readonly name: string;
  readonly id: string | null;
  readonly data: string;
}

function parse(block: string): Event {
  const field = (name: string): string | null => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? null;
  return { name: field('event') ?? '', id: field('id'), data: field('data') ?? '' };
}

export async function readStream({ text, wrong, count, visit }: StreamReading): Promise<void> {
  let lastId: string | null = null;
  let output = '';
  let attempt = 0;
  let end: string | null = null;
  const ids = new Set<string>();

  function take({ name, id, data }: Event): void {
    if (id !== null) {
      if (ids.has(id)) wrong(`its stream told ${id} twice`);
      ids.add(id);
      lastId = id;
    }
    if (name === 'output') output += data;
    if (name === 'reset') {
      const next = (JSON.parse(data) as { attempt: number }).attempt;
      // Told again to whoever comes back before it had a part of that attempt.
      if (next < attempt || (next === attempt && output !== '')) {
        wrong(`its stream was reset to attempt ${next} after ${attempt}`);
      }
      attempt = next;
      output = '';
      count('resets');
    }
    if (name === 'done') end = (JSON.parse(data) as { reason?: string }).reason ?? 'succeeded';
  }

  for (let visits = 1; visits <= MAX_VISITS; visits += 1) {
    let rest = '';
    const answer = await visit(lastId === null ? {} : { 'last-event-id': lastId }, (piece) => {
      const blocks = (rest + piece).split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) take(parse(block));
    });
    if (end !== null) {
      count(visits === 1 ? 'to the end in one visit' : 'to the end in several visits');
      if (end === 'succeeded' && output !== text)
        wrong(`its stream told ${JSON.stringify(output)} for ${JSON.stringify(text)}`);
      return;
    }
    if (answer.isGivenUp) return;
    if (answer.isOver) {
      wrong('its stream was over before its end was told');
      return;
    }
    await pause(RETRY_MS);
  }
  wrong(`its stream had no end in ${MAX_VISITS} visits`);
}
