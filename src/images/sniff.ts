/** What a file is, by its first bytes: names and media types lie, and decoders of other formats must never see it. */
export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'gif' | 'tiff' | 'avif' | 'heic';

/** The longest signature below: RIFF + length + WEBP, or a box length + ftyp + brand. */
const SIGNATURE_BYTES = 12;
const HEIC_BRANDS: ReadonlySet<string> = new Set(['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'mif1', 'msf1']);

/** null: none of the formats that are decoded here. */
export function sniffFormat(bytes: Uint8Array): ImageFormat | null {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, SIGNATURE_BYTES));
  if (start.length < 4) return null;
  const magic = start.readUInt32BE(0);
  if (magic >>> 8 === 0xffd8ff) return 'jpeg';
  if (magic === 0x89504e47) return 'png';
  if (magic === 0x47494638) return 'gif';
  // II*\0 and MM\0*, and their 64-bit forms.
  if (magic === 0x49492a00 || magic === 0x4d4d002a || magic === 0x49492b00 || magic === 0x4d4d002b) return 'tiff';
  if (start.length < SIGNATURE_BYTES) return null;
  if (magic === 0x52494646 && start.toString('latin1', 8, 12) === 'WEBP') return 'webp';
  if (start.toString('latin1', 4, 8) === 'ftyp') {
    const brand = start.toString('latin1', 8, 12);
    if (brand === 'avif' || brand === 'avis') return 'avif';
    if (HEIC_BRANDS.has(brand)) return 'heic';
  }
  return null;
}
