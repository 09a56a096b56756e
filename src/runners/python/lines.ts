/** What a model prints becomes lines of the log, bounded: a model that prints in a loop must not fill the disk. */
import { StringDecoder } from 'node:string_decoder';
import type { Readable } from 'node:stream';
import type { Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';

const MAX_LINE_CHARS = 2_000;
/** Lines of one stream in one period; the rest are counted. */
const MAX_LINES = 200;
const PERIOD_MS = 1_000;

export interface LineLog {
  /** The last line that was not empty; '' when there was none. */
  last(): string;
}

export function createLineLog(
  stream: Readable,
  name: 'stdout' | 'stderr',
  clock: Clock,
  logger: Pick<Logger, 'info' | 'warn'>,
): LineLog {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  let last = '';
  let periodStart = -Infinity;
  let lines = 0;
  let dropped = 0;

  function say(line: string): void {
    if (line.trim() === '') return;
    last = line.slice(0, MAX_LINE_CHARS);
    const now = clock.monotonic();
    if (now - periodStart >= PERIOD_MS) {
      if (dropped > 0) logger.warn('lines of the model were dropped', { stream: name, dropped });
      periodStart = now;
      lines = dropped = 0;
    }
    lines += 1;
    if (lines > MAX_LINES) dropped += 1;
    else logger.info('model said', { stream: name, line: last });
  }

  function add(text: string): void {
    const parts = (rest + text).split(/\r?\n|\r/);
    rest = (parts.pop() ?? '').slice(0, MAX_LINE_CHARS);
    for (const part of parts) say(part);
  }

  function flush(): void {
    add(decoder.end());
    if (rest !== '') say(rest);
    rest = '';
    if (dropped > 0) logger.warn('lines of the model were dropped', { stream: name, dropped });
    dropped = 0;
  }

  stream.on('data', (chunk: Buffer) => add(decoder.write(chunk)));
  stream.once('end', flush);
  stream.on('error', () => undefined);
  return { last: () => (rest.trim() === '' ? last : rest) };
}
