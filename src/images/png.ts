/**
 * A PNG without what a photo does not need. Each of its texts may be packed, 200 MB in 200 KB, and there may be any number of
 * them: libvips unpacks them all while it reads the header, before size and time are limited (a 1.5 MB file took 55 s). So the
 * decoder gets the chunks that pixels and colours are made of, and no others.
 */

const SIGNATURE_BYTES = 8;
/** Length, type, and the checksum behind the data. */
const OVERHEAD_BYTES = 12;
/** Bit 5 of the first letter of a type: the chunk may be left out. */
const ANCILLARY = 0x20;
/** Transparency, colours, orientation. Each may be there once. */
const KEPT: ReadonlySet<string> = new Set(['tRNS', 'cHRM', 'gAMA', 'iCCP', 'sBIT', 'sRGB', 'cICP', 'eXIf', 'pHYs']);

/** The same bytes when there is nothing to leave out, which costs a look at each chunk's header. Never longer. */
export function withoutTexts(png: Uint8Array): Uint8Array {
  const bytes = Buffer.from(png.buffer, png.byteOffset, png.byteLength);
  const parts: Buffer[] = [];
  const seen = new Set<string>();
  let from = 0;
  let at = SIGNATURE_BYTES;
  while (at + OVERHEAD_BYTES <= bytes.length) {
    const end = at + OVERHEAD_BYTES + bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    const isAncillary = ((bytes[at + 4] ?? 0) & ANCILLARY) !== 0;
    if (isAncillary && (!KEPT.has(type) || seen.has(type))) {
      parts.push(bytes.subarray(from, at));
      from = end;
    }
    if (isAncillary) seen.add(type);
    at = end;
  }
  return parts.length === 0 ? png : Buffer.concat([...parts, bytes.subarray(from)]);
}
