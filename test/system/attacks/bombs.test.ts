/** Photos that are small to send and huge to unpack: refused by their headers, or unpacked without what is huge. */
import assert from 'node:assert/strict';
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import type { Sharp } from 'sharp';
import { systemClock } from '../../../src/clock.ts';
import { PosternError } from '../../../src/errors.ts';
import { loadSharp } from '../../../src/images/images.ts';
import { createDecoder } from '../../../src/worker/kinds/image/decode.ts';
import type { Decode } from '../../../src/worker/kinds/image/decode.ts';
import { withoutTexts } from '../../../src/images/png.ts';
import { flatPng, insertPngChunks } from '../../support/images.ts';
import { attackTable } from './attack.ts';
import type { Attack, AttackStage } from './attack.ts';

const MEGABYTE = 1_000_000;
const MAX_PIXELS = 50 * MEGABYTE;
const INPUT = { name: 'image', width: 48, height: 32, fit: 'cover', scale: 1, kernel: 'cubic' } as const;

interface DecoderStage extends AttackStage {
  /** The code of the refusal; `none` when it was decoded. */
  decode(bytes: Uint8Array): Promise<string>;
}

async function openDecoder(): Promise<DecoderStage> {
  const input = { ...INPUT, mean: [0.5, 0.5, 0.5], std: [1, 1, 1] } as Parameters<typeof createDecoder>[1]['input'];
  const decode: Decode = createDecoder(await loadSharp(), { input, maxPixels: MAX_PIXELS, clock: systemClock });
  const rssBefore = process.memoryUsage.rss();
  return {
    async decode(bytes) {
      assert.ok(bytes.length < 2 * MEGABYTE, `${bytes.length} bytes are no bomb`);
      return decode(bytes).then(
        () => 'none',
        (error: unknown) => (error instanceof PosternError ? error.code : String(error)),
      );
    },
    assertNothingHeard() {
      // 100 million pixels of three bytes each are what these files announce.
      assert.ok(process.memoryUsage.rss() - rssBefore < 100 * MEGABYTE, 'it was unpacked');
    },
    close: () => Promise.resolve(),
  };
}

/** White, so that any size packs into little. */
const white = (side: number): Sharp =>
  sharp({ create: { width: side, height: side, channels: 3, background: '#fff' }, limitInputPixels: false });

/** A GIF of one small image on a screen and a frame of these sizes. */
function gif(screen: number, frame: number, frames = 1): Buffer {
  const head = Buffer.alloc(13);
  head.write('GIF89a');
  for (const at of [6, 8]) head.writeUInt16LE(screen, at);
  head[10] = 0x80;
  const image = Buffer.from([0x2c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 0x4c, 1, 0]);
  for (const at of [5, 7]) image.writeUInt16LE(frame, at);
  const palette = Buffer.from([0, 0, 0, 255, 255, 255]);
  return Buffer.concat([head, palette, ...Array.from({ length: frames }, () => image), Buffer.from([0x3b])]);
}

const packed = (keyword: string, megabytes: number): Buffer =>
  Buffer.concat([Buffer.from(keyword, 'latin1'), deflateSync(Buffer.alloc(megabytes * MEGABYTE), { level: 9 })]);

const bombs: Attack<DecoderStage>[] = [
  { name: 'PNG', expected: 'image_too_large', attack: (stage) => stage.decode(flatPng(10_000, 10_000)) },
  {
    name: 'JPEG',
    expected: 'image_too_large',
    attack: async (stage) => stage.decode(await white(10_000).jpeg({ quality: 1 }).toBuffer()),
  },
  {
    name: 'WebP',
    expected: 'image_too_large',
    attack: async (stage) => stage.decode(await white(10_000).webp({ effort: 0 }).toBuffer()),
  },
  {
    name: 'AVIF',
    expected: 'image_too_large',
    attack: async (stage) => stage.decode(await white(8_000).avif({ effort: 0, quality: 1 }).toBuffer()),
  },
  {
    name: 'TIFF',
    expected: 'image_too_large',
    attack: async (stage) => stage.decode(await white(8_000).tiff({ compression: 'deflate' }).toBuffer()),
  },
  { name: 'GIF', expected: 'image_too_large', attack: (stage) => stage.decode(gif(65_535, 65_535)) },
  {
    name: 'a GIF whose frame is larger than its screen',
    expected: 'image_too_large',
    attack: (stage) => stage.decode(gif(1, 65_535)),
  },
  {
    name: 'a GIF of a hundred thousand frames: only the first is unpacked',
    expected: 'none',
    attack: (stage) => stage.decode(gif(100, 100, 100_000)),
  },
  {
    name: 'a PNG with a packed text of 100 MB: the text is left out',
    expected: 'none',
    attack: (stage) => stage.decode(insertPngChunks(flatPng(8, 8), [['zTXt', packed('x\0\0', 100)]])),
  },
  {
    name: 'a PNG with 1,500 texts of a megabyte: all are left out',
    expected: 'none',
    attack(stage) {
      const text = packed('x\0\x01\0\0\0', 1);
      const bomb = insertPngChunks(
        flatPng(8, 8),
        Array.from({ length: 1_500 }, () => ['iTXt', text] as const),
      );
      assert.equal(withoutTexts(bomb).length, flatPng(8, 8).length);
      return stage.decode(bomb);
    },
  },
  {
    name: 'a PNG with a colour profile of 200 MB',
    expected: 'none',
    attack: (stage) => stage.decode(insertPngChunks(flatPng(8, 8), [['iCCP', packed('x\0\0', 200)]])),
  },
];

attackTable('bombs for the decoder', openDecoder, bombs);
