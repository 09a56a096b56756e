/**
 * Memory for small things that are forgotten in the order in which they came: many share one buffer, outside the heap that
 * the collector walks. A slab goes when the last thing that is in it goes.
 */

const SLAB_BYTES = 256 * 1024;
/** Larger ones get a buffer of their own: sharing would save nothing and waste the end of a slab. */
const MAX_SHARED_BYTES = 16 * 1024;

/** Where something lies. */
export interface Place {
  readonly memory: Buffer;
  readonly at: number;
}

export interface Slab {
  /** Room that nobody else uses. It holds whatever was there before: write all of it. */
  reserve(bytes: number): Place;
}

export function createSlab(): Slab {
  let slab: Buffer = Buffer.alloc(0);
  let used = 0;
  return {
    reserve(bytes) {
      if (bytes > MAX_SHARED_BYTES) return { memory: Buffer.allocUnsafeSlow(bytes), at: 0 };
      if (used + bytes > slab.byteLength) {
        // Not filled with zeros: nobody is given a byte that was not written.
        slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
        used = 0;
      }
      const at = used;
      used += bytes;
      return { memory: slab, at };
    },
  };
}
