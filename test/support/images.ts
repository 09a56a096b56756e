/** Photos and things that pretend to be photos, made on the spot: nothing of the data set is committed. */
import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import type { Sharp } from 'sharp';

const CHANNELS = 3;

/** Four different quarters and a gradient over them: every turn and flip of it looks different. */
export function patternPixels(width: number, height: number): Buffer {
  const pixels = Buffer.alloc(width * height * CHANNELS);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * CHANNELS;
      pixels[at] = x < width / 2 ? 220 : 40;
      pixels[at + 1] = y < height / 2 ? 200 : 30;
      pixels[at + 2] = Math.round((255 * x * y) / (width * height));
    }
  }
  return pixels;
}

export const pattern = (width: number, height: number): Sharp =>
  sharp(patternPixels(width, height), { raw: { width, height, channels: CHANNELS } });

/** Detail everywhere, so that a JPEG of it has data to lose. The numbers are a linear congruential sequence: no chance. */
export function noise(width: number, height: number): Sharp {
  const pixels = Buffer.alloc(width * height * CHANNELS);
  let state = 1;
  for (let at = 0; at < pixels.length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    pixels[at] = state >>> 24;
  }
  return sharp(pixels, { raw: { width, height, channels: CHANNELS } });
}

function chunk(type: string, body: Buffer): Buffer {
  const data = Buffer.concat([Buffer.from(type, 'latin1'), body]);
  const frame = Buffer.alloc(8 + data.length);
  frame.writeUInt32BE(body.length, 0);
  data.copy(frame, 4);
  frame.writeUInt32BE(crc32(data), 4 + data.length);
  return frame;
}

/** A whole, valid grey PNG of any size in a few kilobytes: a decompression bomb when the size is large. */
export function flatPng(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 1;
  const rowBytes = 1 + Math.ceil(width / 8);
  const data = deflateSync(Buffer.alloc(rowBytes * height), { level: 9 });
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

/** The same PNG with these chunks behind its header. */
export function insertPngChunks(png: Buffer, chunks: readonly (readonly [type: string, body: Buffer])[]): Buffer {
  const headerEnd = 33;
  const added = chunks.map(([type, body]) => chunk(type, body));
  return Buffer.concat([png.subarray(0, headerEnd), ...added, png.subarray(headerEnd)]);
}

/** How the pixels of an upright picture lie in the file for each EXIF orientation. sharp mirrors before it turns. */
const STORED: Record<number, (image: Sharp) => Sharp> = {
  1: (image) => image,
  2: (image) => image.flop(),
  3: (image) => image.rotate(180),
  4: (image) => image.flip(),
  5: (image) => image.flop().rotate(270),
  6: (image) => image.rotate(270),
  7: (image) => image.flop().rotate(90),
  8: (image) => image.rotate(90),
};

export async function oriented(upright: Sharp, orientation: number): Promise<Buffer> {
  const { data, info } = await STORED[orientation]!(upright).raw().toBuffer({ resolveWithObject: true });
  return await sharp(data, { raw: { width: info.width, height: info.height, channels: CHANNELS } })
    .withMetadata({ orientation })
    .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
    .toBuffer();
}
