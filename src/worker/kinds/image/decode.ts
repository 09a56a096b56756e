/**
 * From the bytes of a photo to the pixels of a network's input, by sharp (libvips) in libuv's threads: EXIF rotation,
 * transparency on white, colours to sRGB, resize. JPEGs are decoded at a reduced size where that is enough.
 *
 * Bad input is told apart without reading error texts: format by signature, size by header before anything is decoded,
 * truncation by trying once more with a decoder that forgives exactly that.
 */
import type { Metadata, Sharp } from 'sharp';
import type sharpFunction from 'sharp';
import { PosternError } from '../../../errors.ts';
import type { Clock } from '../../../clock.ts';
import type { ImageClassificationManifest } from '../../manifest.ts';
import { MAX_ASPECT, placePhoto } from './geometry.ts';
import type { Size } from './geometry.ts';
import { withoutTexts } from './png.ts';
import { sniffFormat } from './sniff.ts';
import type { ImageFormat } from './sniff.ts';

/** Decoding a 50-megapixel photo takes about a second; a file that needs longer was made to. */
const DECODE_TIMEOUT_S = 20;
const CHANNELS = 3;

export interface DecodedImage {
  /** RGB interleaved, 8 bits, width × height of the network's input. */
  readonly pixels: Uint8Array;
  /** Size as shown, after EXIF rotation. */
  readonly width: number;
  readonly height: number;
  readonly format: ImageFormat;
}

export interface DecoderOptions {
  readonly input: ImageClassificationManifest['input'];
  /** A header that announces more pixels is refused before anything is decoded. */
  readonly maxPixels: number;
  readonly clock: Clock;
}

export type Decode = (bytes: Uint8Array) => Promise<DecodedImage>;

type SharpModule = typeof sharpFunction;

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

export function createDecoder(sharp: SharpModule, options: DecoderOptions): Decode {
  const { input, maxPixels, clock } = options;
  const [r, g, b] = input.mean.map((mean) => Math.min(255, Math.max(0, Math.round(mean * 255)))) as [
    number,
    number,
    number,
  ];

  const open = (bytes: Uint8Array, failOn: 'truncated' | 'none'): Sharp =>
    sharp(bytes, { failOn, limitInputPixels: maxPixels, autoOrient: true, pages: 1, sequentialRead: true });

  /** Reads the header only. It has no limit of its own, because a bomb is to be told from a file that is no image. */
  const probe = (bytes: Uint8Array): Promise<Metadata> =>
    sharp(bytes, { failOn: 'truncated', limitInputPixels: false, pages: 1 }).metadata();

  const shape = (image: Sharp, photo: Size): Sharp => {
    const { resized, padded, left, top } = placePhoto(input, photo);
    return (
      image
        .timeout({ seconds: DECODE_TIMEOUT_S })
        .flatten({ background: '#ffffff' })
        // Padding is the network's zero: the mean colour.
        .resize(resized.width, resized.height, {
          fit: padded ? 'contain' : 'fill',
          kernel: input.kernel,
          background: { r, g, b },
        })
        .extract({ left, top, width: input.width, height: input.height })
        .toColourspace('srgb')
        .raw({ depth: 'uchar' })
    );
  };

  return async (sent) => {
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
    const header = await probe(bytes).catch(() => null);
    if (!header) throw headerError(bytes, format);
    const { width, height } = header.autoOrient;
    refuseUnreasonable(width, height, maxPixels);
    const begunAt = clock.monotonic();
    try {
      const { data, info } = await shape(open(bytes, 'truncated'), { width, height }).toBuffer({
        resolveWithObject: true,
      });
      return { pixels: rgb(data, info.channels), width, height, format };
    } catch (thrown) {
      if (clock.monotonic() - begunAt >= DECODE_TIMEOUT_S * 1_000) {
        throw new PosternError('input_invalid', `the image takes longer than ${DECODE_TIMEOUT_S} s to decode`, {
          cause: thrown,
        });
      }
      const forgiven = await shape(open(bytes, 'none'), { width, height })
        .toBuffer()
        .then(
          () => true,
          () => false,
        );
      throw forgiven ? truncated(format, thrown) : broken(format, thrown);
    }
  };
}

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

/** One and two channels (grey, grey with alpha) are spread over three; a fourth is dropped. */
function rgb(data: Uint8Array, channels: number): Uint8Array {
  if (channels === CHANNELS) return data;
  const pixels = data.length / channels;
  const spread = new Uint8Array(pixels * CHANNELS);
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let channel = 0; channel < CHANNELS; channel++) {
      spread[pixel * CHANNELS + channel] = data[pixel * channels + (channels > 2 ? channel : 0)] ?? 0;
    }
  }
  return spread;
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
