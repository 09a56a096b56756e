/** Decided jobs until they are forgotten: by age, by number and by bytes. Owner of the two lines and of their bounds. */
import type { Clock } from '../clock.ts';
import type { Job } from '../dispatch/job.ts';
import type { Stored } from './memory-entry.ts';
import { packJob } from './packed-job.ts';
import { createSlab, type Slab } from './slab.ts';

export interface MemoryResultsOptions {
  readonly clock: Clock;
  readonly resultTtlMs: number;
  readonly idempotencyTtlMs: number;
  /** 0: nothing is kept; who was told of the decision has it, and nobody else can. */
  readonly maxResults: number;
  readonly maxResultBytes: number;
  readonly forget: (entry: Stored) => void;
}

/** First in, first out. Not a Set: the first of a Set is found by walking over everything that was deleted before it. */
interface Line {
  entries: Stored[];
  /** Entries before this index are gone. */
  head: number;
  readonly ttlMs: number;
  /** One per line, because a line is forgotten in order. */
  readonly slab: Slab;
}

/** Gone entries are cut off when they are half of the array, so each one is moved once on average. */
const CUT_AT = 1024;

/** What an entry costs beside its packed bytes: two objects, the id, slots of maps and lists. Estimated, on the safe side. */
const ENTRY_BYTES = 512;

export function createMemoryResults(options: MemoryResultsOptions) {
  const { clock, maxResults, maxResultBytes, forget } = options;
  const plain: Line = { entries: [], head: 0, ttlMs: options.resultTtlMs, slab: createSlab() };
  // A key must be honoured for longer than a result is kept, so jobs that have one are kept as long as their key.
  const keyedTtlMs = Math.max(options.resultTtlMs, options.idempotencyTtlMs);
  const keyed: Line = { entries: [], head: 0, ttlMs: keyedTtlMs, slab: createSlab() };
  let bytes = 0;

  const kept = (line: Line): number => line.entries.length - line.head;

  function dropFirst(line: Line): void {
    const entry = line.entries[line.head]!;
    line.head += 1;
    if (line.head >= CUT_AT && line.head * 2 >= line.entries.length) {
      line.entries = line.entries.slice(line.head);
      line.head = 0;
    }
    bytes -= entry.retainedBytes;
    forget(entry);
  }

  return {
    /** Keeps `job`, which has just been decided, as the last state of `entry`. */
    add(entry: Stored, job: Job): void {
      if (maxResults === 0) {
        forget(entry);
        return;
      }
      const line = entry.key === null ? plain : keyed;
      const packed = packJob(job, line.slab);
      entry.packed = packed;
      entry.live = null;
      entry.status = job.status;
      entry.decidedAt = Math.floor(clock.monotonic());
      entry.retainedBytes = ENTRY_BYTES + packed.headBytes + packed.outputBytes;
      bytes += entry.retainedBytes;
      line.entries.push(entry);
      while (kept(plain) + kept(keyed) > maxResults || bytes > maxResultBytes) {
        const fuller = kept(plain) > 0 ? plain : keyed;
        // The result that was decided just now stays: its caller is about to read it.
        if (fuller.entries[fuller.head] === entry) break;
        dropFirst(fuller);
      }
    },
    sweep(limit: number): number {
      let forgotten = 0;
      for (const line of [plain, keyed]) {
        while (forgotten < limit && kept(line) > 0) {
          if (line.entries[line.head]!.decidedAt + line.ttlMs > clock.monotonic()) break;
          dropFirst(line);
          forgotten += 1;
        }
      }
      return forgotten;
    },
  };
}
