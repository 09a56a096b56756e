/**
 * Answers every input with itself: for the link check and for measuring everything but the model. With `chunk_bytes` it puts
 * its input out piece by piece, with a pause of `delay_ms` after each, as a model that streams does.
 */
import { sleep, systemClock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import type { BytesInput, BytesRunner, JsonValue, Output, RunCall } from '../worker/runner.ts';

const MAX_CHUNK_BYTES = 1024 * 1024;
const MAX_DELAY_MS = 60_000;

export const echoRunner: BytesRunner = {
  answer(input, call) {
    const { contentType, parameters } = input;
    for (const _ in parameters) return answerWith(input, call);
    return { contentType, bytes: input.input };
  },
};

function answerWith(input: BytesInput, call: RunCall): Output | Promise<Output | null> {
  const { chunk_bytes: chunk, delay_ms: delay } = input.parameters;
  const chunkBytes = whole('chunk_bytes', chunk, 1, MAX_CHUNK_BYTES);
  const delayMs = whole('delay_ms', delay, 0, MAX_DELAY_MS) ?? 0;
  if (chunkBytes !== null) return stream(input, call, chunkBytes, delayMs);
  const output = { contentType: input.contentType, bytes: input.input };
  return delayMs === 0 ? output : sleep(systemClock, delayMs, call.signal).then(() => output);
}

async function stream(
  { contentType, input }: BytesInput,
  call: RunCall,
  chunkBytes: number,
  delayMs: number,
): Promise<null> {
  const isText = contentType.startsWith('text/');
  let at = 0;
  let percent = 0;
  do {
    const end = isText ? endOfCharacter(input, at + chunkBytes) : Math.min(at + chunkBytes, input.byteLength);
    const behind = call.events.partial(0, { contentType, bytes: input.subarray(at, end) });
    if (behind) await behind;
    if (delayMs > 0) await sleep(systemClock, delayMs, call.signal);
    call.signal.throwIfAborted();
    at = end;
    const now = Math.floor((at * 100) / Math.max(1, input.byteLength));
    if (now > percent) call.events.progress(0, (percent = now) / 100, null);
  } while (at < input.byteLength);
  return null;
}

/** A text is never cut inside a character of UTF-8: its following bytes are 10xxxxxx. */
function endOfCharacter(bytes: Uint8Array, from: number): number {
  let end = Math.min(from, bytes.byteLength);
  while (end < bytes.byteLength && (bytes[end]! & 0xc0) === 0x80) end += 1;
  return end;
}

function whole(name: string, value: JsonValue | undefined, min: number, max: number): number | null {
  if (value === undefined) return null;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new PosternError('bad_parameter', `${name}: expected a whole number from ${min} to ${max}`);
}
