/**
 * Photos of strangers, decoded with bounds by sharp (libvips) in libuv's threads: for the worker, which makes tensors of them, and for
 * the field guide, which makes them anew before it keeps them.
 *
 * Bad input is told apart without reading error texts: format by signature, size by header before anything is decoded,
 * truncation by trying once more with a decoder that forgives exactly that.
 */
import type { Metadata, OutputInfo, Sharp } from 'sharp';
import type sharpFunction from 'sharp';
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import { withoutTexts } from './png.ts';
import { sniffFormat, type ImageFormat } from './sniff.ts';

/** Decoding a 50-megapixel photo takes about a second; a file that needs longer was made to. */
const DECODE_TIMEOUT_S = 20;
/**
 * A strip longer than this is no photo, and covering a square with it would make it 10,000 × longer than the network's
 * input: at 4,096 px that is beyond what libvips addresses.
 */
const MAX_ASPECT = 10_000;

export type SharpModule = typeof sharpFunction;

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface ReadLimits {
  /** A header that announces more pixels is refused before anything is decoded. */
  readonly maxPixels: number;
  readonly clock: Clock;
}

export interface ReadImage {
  readonly data: Buffer;
  readonly info: OutputInfo;
  /** As shown, after EXIF rotation. */
  readonly size: Size;
  readonly format: ImageFormat;
}

/** Loads sharp (30 MB) on first use and confines it to the formats above: no SVG, no PDF, nothing that reads other files. */
export async function loadSharp(): Promise<SharpModule> {
  const { default: sharp } = await import('sharp');
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({
    operation: ['Jpeg', 'Png', 'Webp', 'Nsgif', 'Tiff', 'Heif'].map((name) => `VipsForeignLoad${name}`),
  });
  // Photos do not repeat, so a cache only holds memory; and one thread per photo, because photos come many at a time.
  sharp.cache(false);
  sharp.concurrency(1);
  return sharp;
}

/**
 * What `shape` makes of a photo; what it gets is turned as EXIF says, and begins at the size of `size`. Throws empty_input, not_an_image,
 * image_truncated, image_too_large, or input_invalid.
 */
export async function readImage(
  sharp: SharpModule,
  sent: Uint8Array,
  { maxPixels, clock }: ReadLimits,
  shape: (image: Sharp, size: Size) => Sharp,
): Promise<ReadImage> {
  if (sent.byteLength === 0) throw new PosternError('empty_input', 'expected an image, got zero bytes');
  const format = sniffFormat(sent);
  if (format === null) {
    throw new PosternError(
      'not_an_image',
      'expected a JPEG, PNG, WebP, GIF, TIFF or AVIF image; the first bytes are of none of them',
    );
  }
  if (format === 'heic') {
    throw new PosternError('not_an_image', 'HEIC photos cannot be decoded here: convert the photo to JPEG first');
  }
  const bytes = format === 'png' ? withoutTexts(sent) : sent;
  const header = await probe(sharp, bytes).catch(() => null);
  if (!header) throw headerError(bytes, format);
  const { width, height } = header.autoOrient;
  const size = { width, height };
  refuseUnreasonable(width, height, maxPixels);
  const open = (failOn: 'truncated' | 'none'): Sharp =>
    shape(
      sharp(bytes, { failOn, limitInputPixels: maxPixels, autoOrient: true, pages: 1, sequentialRead: true }).timeout({
        seconds: DECODE_TIMEOUT_S,
      }),
      size,
    );
  const begunAt = clock.monotonic();
  try {
    const { data, info } = await open('truncated').toBuffer({ resolveWithObject: true });
    return { data, info, size, format };
  } catch (thrown) {
    if (clock.monotonic() - begunAt >= DECODE_TIMEOUT_S * 1_000) {
      throw new PosternError('input_invalid', `the image takes longer than ${DECODE_TIMEOUT_S} s to decode`, {
        cause: thrown,
      });
    }
    const forgiven = await open('none')
      .toBuffer()
      .then(
        () => true,
        () => false,
      );
    throw forgiven ? truncated(format, thrown) : broken(format, thrown);
  }
}

/** Reads the header only. It has no limit of its own, because a bomb is to be told from a file that is no image. */
const probe = (sharp: SharpModule, bytes: Uint8Array): Promise<Metadata> =>
  sharp(bytes, { failOn: 'truncated', limitInputPixels: false, pages: 1 }).metadata();

/** By the header alone, before anything is decoded. */
function refuseUnreasonable(width: number, height: number, maxPixels: number): void {
  if (width * height > maxPixels) {
    throw new PosternError(
      'image_too_large',
      `the image has ${width} × ${height} pixels, at most ${maxPixels} in all are decoded: send a smaller one`,
    );
  }
  if (Math.max(width, height) > MAX_ASPECT * Math.min(width, height)) {
    throw new PosternError(
      'input_invalid',
      `the image has ${width} × ${height} pixels: at most ${MAX_ASPECT} times as long as wide is taken`,
    );
  }
}

/** A header that cannot be read either breaks off or is no image after all. */
function headerError(bytes: Uint8Array, format: ImageFormat): PosternError {
  return endsInHeader(bytes, format) ? truncated(format) : broken(format);
}

function truncated(format: ImageFormat, cause?: unknown): PosternError {
  return new PosternError(
    'image_truncated',
    `the ${format.toUpperCase()} ends before its image data is complete: send the whole file`,
    { cause },
  );
}

function broken(format: ImageFormat, cause?: unknown): PosternError {
  return new PosternError('not_an_image', `the file begins like ${format.toUpperCase()} but cannot be decoded`, {
    cause,
  });
}

/** Walks the segments of a JPEG, the chunks of a PNG: true when the file ends before the image data begins. */
function endsInHeader(bytes: Uint8Array, format: ImageFormat): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (format === 'jpeg') {
    let at = 2;
    while (at + 4 <= view.byteLength) {
      const marker = view.getUint16(at);
      if (marker >> 8 !== 0xff || marker === 0xffda) return false;
      at += 2 + view.getUint16(at + 2);
    }
    return true;
  }
  if (format === 'png') {
    const IHDR = 0x49484452;
    if (view.byteLength >= 16 && view.getUint32(12) !== IHDR) return false;
    let at = 8;
    while (at + 8 <= view.byteLength) {
      if (view.getUint32(at + 4) === 0x49444154) return false;
      at += 12 + view.getUint32(at);
    }
    return true;
  }
  return false;
}
