/**
 * From the bytes of a photo to the pixels of a network's input: EXIF rotation, transparency on white, colours to sRGB, resize. JPEGs
 * are decoded at a reduced size where that is enough. What cannot be decoded is refused in `images/images.ts`.
 */
import type { Clock } from '../../../clock.ts';
import { readImage, type SharpModule } from '../../../images/images.ts';
import type { ImageFormat } from '../../../images/sniff.ts';
import type { ImageClassificationManifest } from '../../manifest.ts';
import { placePhoto } from './geometry.ts';

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

export function createDecoder(sharp: SharpModule, { input, maxPixels, clock }: DecoderOptions): Decode {
  const [r, g, b] = input.mean.map((mean) => Math.min(255, Math.max(0, Math.round(mean * 255)))) as [
    number,
    number,
    number,
  ];

  return async (sent) => {
    const { data, info, size, format } = await readImage(sharp, sent, { maxPixels, clock }, (image, photo) => {
      const { resized, padded, left, top } = placePhoto(input, photo);
      return (
        image
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
    });
    return { pixels: rgb(data, info.channels), ...size, format };
  };
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
