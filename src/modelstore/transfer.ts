/**
 * One file on its way from a place into the draft. A connection that breaks, or on which nothing moves, is taken up again
 * where it stands, as long as tries bring something; only the whole file is compared with its digest.
 */
import { sleep, type Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import type { Begun, Draft } from './draft.ts';
import type { StoredFile } from './manifest.ts';
import { placeError, type ModelPlace, type Reading } from './place.ts';

export interface Transfer {
  readonly draft: Draft;
  readonly place: ModelPlace;
  /** Of the file at the place. */
  readonly path: string;
  readonly file: StoredFile;
  readonly clock: Clock;
  /** Bytes that are in the draft now and were not before; negative: they were thrown away. */
  readonly onBytes: (bytes: number) => void;
}

/** Tries in a row that brought no byte. */
const MAX_FRUITLESS_TRIES = 5;
/** 1, 2, 4 and 8 s between them. */
const RETRY_BASE_MS = 500;
const STALL_MS = 30_000;

/** Resolves to the bytes that came over the network. Throws model_invalid, and keeps nothing, when the content is another. */
export async function fetchFile(transfer: Transfer, begun: Begun): Promise<number> {
  const { draft, place, file, clock, onBytes } = transfer;
  let fetched = 0;
  let state = begun;
  if (file.bytes === 0) await (await draft.append(file, 0)).close();
  for (let fruitless = 0; state.bytes < file.bytes;) {
    let came = 0;
    try {
      state = await fetchRest(transfer, state, (bytes) => (came += bytes));
    } catch (error) {
      const known = placeError(error, `${file.path} could not be fetched`, place.address);
      fruitless = came > 0 ? 1 : fruitless + 1;
      if (known.code !== 'model_store_failed' || fruitless > MAX_FRUITLESS_TRIES) throw known;
      await sleep(clock, RETRY_BASE_MS * 2 ** fruitless);
      state = await draft.begun(file);
    } finally {
      fetched += came;
    }
  }
  if (state.hash.copy().digest('hex') !== file.sha256) {
    await draft.discard(file);
    onBytes(-file.bytes);
    throw new PosternError(
      'model_invalid',
      `${file.path} does not have the SHA-256 that its manifest says: it was changed, at ${place.address} or on the way. It was thrown away; run the command again`,
    );
  }
  return fetched;
}

/** One connection's worth: what arrives is written, hashed and counted. */
async function fetchRest(transfer: Transfer, had: Begun, onCame: (bytes: number) => void): Promise<Begun> {
  const { draft, file, clock, onBytes } = transfer;
  const stalls = watchForStalls(clock);
  try {
    const reading = await openAt(transfer, had.bytes, stalls.signal);
    if (reading.from !== had.bytes) {
      // It cannot begin in the middle, so that all of it comes again.
      await draft.discard(file);
      onBytes(-had.bytes);
    }
    let { bytes } = reading.from === had.bytes ? had : { bytes: 0 };
    const hash = reading.from === had.bytes ? had.hash.copy() : (await draft.begun(file)).hash;
    const target = await draft.append(file, bytes);
    try {
      for await (const part of stalls.guard(reading.content)) {
        if (bytes + part.byteLength > file.bytes) {
          throw new PosternError(
            'model_invalid',
            `${file.path} is longer than its manifest says (${file.bytes} bytes)`,
          );
        }
        await target.write(part);
        hash.update(part);
        bytes += part.byteLength;
        onBytes(part.byteLength);
        onCame(part.byteLength);
      }
    } finally {
      await target.close();
    }
    if (bytes < file.bytes) throw new PosternError('model_store_failed', `${file.path}: the connection ended early`);
    return { bytes, hash };
  } finally {
    stalls.end();
  }
}

async function openAt({ place, path, file }: Transfer, from: number, signal: AbortSignal): Promise<Reading> {
  const reading = await place.read(path, from, signal);
  if (reading === null) {
    throw new PosternError(
      'model_not_found',
      `${file.path} is not at ${place.address}, although its manifest is: push again`,
    );
  }
  if (reading.from !== from && reading.from !== 0) {
    throw new PosternError('model_store_failed', `${file.path}: another part was sent than was asked for`);
  }
  return reading;
}

/** Ends a transfer on which nothing moves, whatever the library beneath would do. */
function watchForStalls(clock: Clock) {
  const controller = new AbortController();
  let movedAt = clock.monotonic();
  const timer = clock.every(STALL_MS / 10, () => {
    if (clock.monotonic() - movedAt < STALL_MS) return;
    controller.abort(new PosternError('model_store_failed', `nothing came for ${STALL_MS / 1_000} s`));
  });
  const aborted = new Promise<never>((_, reject) => {
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason as Error), { once: true });
  });
  aborted.catch(() => undefined);
  return {
    signal: controller.signal,
    async *guard(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      const parts = content[Symbol.asyncIterator]();
      try {
        for (;;) {
          const next = await Promise.race([parts.next(), aborted]);
          if (next.done === true) return;
          movedAt = clock.monotonic();
          yield next.value;
        }
      } finally {
        // Not waited for: what stalls might stall here too.
        void Promise.resolve(parts.return?.()).catch(() => undefined);
      }
    },
    end: () => timer.cancel(),
  };
}
