/**
 * How much memory payloads may take before V8 collects everything for it.
 *
 * Payloads lie outside of V8's heap, and it begins a full collection after each 64 MB of them, though most are long dead and cost no
 * more than a scavenge: with tensors of 49 KB a worker did so every 115 requests, and collecting was a third of its processor time
 * (bench/README.md, Tensors). With a flag of V8 payloads count like all other memory, which leaves more of them to scavenges; but then
 * payloads of 10 MB pile up to 2.4 GB. So the flag holds only below a limit, and above it V8's own rule holds again.
 *
 * The flag is the process's, V8 reads it each time, and everybody who counts here comes to the same answer.
 */
import { totalmem } from 'node:os';
import { setFlagsFromString } from 'node:v8';

export interface PayloadMemory {
  /** So many bytes of payload were, or are about to be, allocated. */
  readonly grew: (bytes: number) => void;
}

export interface PayloadMemoryOptions {
  readonly limitBytes: number;
  /** What payloads of this process take, dead ones included. */
  readonly usedBytes: () => number;
  /** Lets payloads count like all other memory, or not. */
  readonly relax: (relaxed: boolean) => void;
}

/** With the pieces that payloads come in, and copies, three times as much is allocated between two looks. */
const LOOK_AFTER_BYTES = 16 * 1024 * 1024;
/** Scavenges left 100 to 160 MB, measured with 64 requests of 49 KB at once. */
const MOST_BYTES = 256 * 1024 * 1024;
/** A small machine has other things to keep. */
const SHARE_OF_MACHINE = 1 / 8;

/** Another V8 may not know it, and would complain on standard error. */
const isKnown = process.versions.v8.startsWith('13.');

const systemOptions: PayloadMemoryOptions = {
  // A container may have less than its machine.
  limitBytes: Math.min(MOST_BYTES, Math.min(totalmem(), process.constrainedMemory() || Infinity) * SHARE_OF_MACHINE),
  usedBytes: () => process.memoryUsage().arrayBuffers,
  relax(relaxed) {
    if (isKnown) setFlagsFromString(`--${relaxed ? '' : 'no-'}external-memory-accounted-in-global-limit`);
  },
};

export function createPayloadMemory(options: PayloadMemoryOptions = systemOptions): PayloadMemory {
  let grownBytes = 0;
  options.relax(true);

  return {
    grew(bytes) {
      grownBytes += bytes;
      if (grownBytes < LOOK_AFTER_BYTES) return;
      grownBytes = 0;
      options.relax(options.usedBytes() < options.limitBytes);
    },
  };
}
