/**
 * Memory for small byte arrays that are forgotten in the order in which they came: many share one buffer. A buffer for each
 * costs more to make and to collect than a result of 1 KiB costs otherwise.
 */

const SLAB_BYTES = 256 * 1024;
/** Larger ones get a buffer of their own: sharing would save nothing and waste the end of a slab. */
const MAX_SHARED_BYTES = 16 * 1024;

export interface Slab {
  /** A copy that shares its buffer with nothing but its neighbours in time. */
  copy(bytes: Uint8Array): Uint8Array;
}

export function createSlab(): Slab {
  let slab: Uint8Array = new Uint8Array(0);
  let used = 0;
  return {
    copy(bytes) {
      const { byteLength } = bytes;
      if (byteLength > MAX_SHARED_BYTES) return new Uint8Array(bytes);
      if (used + byteLength > slab.byteLength) {
        // Not filled with zeros: nobody is given a byte that was not written.
        slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
        used = 0;
      }
      slab.set(bytes, used);
      used += byteLength;
      return slab.subarray(used - byteLength, used);
    },
  };
}
