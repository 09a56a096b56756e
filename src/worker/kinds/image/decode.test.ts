import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import sharp from 'sharp';
import { systemClock } from '../../../clock.ts';
import { PosternError } from '../../../errors.ts';
import type { ErrorCode } from '../../../errors.ts';
import { flatPng, noise, oriented, pattern, patternPixels } from '../../../../test/support/images.ts';
import type { ImageClassificationManifest } from '../../manifest.ts';
import { loadSharp } from '../../../images/images.ts';
import { createDecoder } from './decode.ts';
import type { Decode } from './decode.ts';
import { placePhoto } from './geometry.ts';

type Input = ImageClassificationManifest['input'];

const INPUT: Input = {
  name: 'image',
  width: 48,
  height: 32,
  fit: 'cover',
  scale: 1,
  kernel: 'cubic',
  mean: [0.5, 0.25, 0.75],
  std: [1, 1, 1],
};
const MAX_PIXELS = 50_000_000;

async function decoder(parts: Partial<Input> = {}, maxPixels = MAX_PIXELS): Promise<Decode> {
  return createDecoder(await loadSharp(), { input: { ...INPUT, ...parts }, maxPixels, clock: systemClock });
}

function fails(decoding: Promise<unknown>, code: ErrorCode): Promise<void> {
  return assert.rejects(decoding, (error: unknown) => {
    assert.ok(error instanceof PosternError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });
}

/** The largest difference of any channel of any pixel. */
function distance(a: Uint8Array, b: Uint8Array): number {
  assert.equal(a.length, b.length);
  return a.reduce((largest, value, index) => Math.max(largest, Math.abs(value - b[index]!)), 0);
}

function meanColour(pixels: Uint8Array): number[] {
  return [0, 1, 2].map((channel) => {
    const values = pixels.filter((_, index) => index % 3 === channel);
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  });
}

function isNear(actual: number[], expected: number[], tolerance: number): void {
  actual.forEach((value, index) => {
    assert.ok(
      Math.abs(value - expected[index]!) <= tolerance,
      `expected about ${expected.join()}, got ${actual.join()}`,
    );
  });
}

describe('decoding refuses', () => {
  let decode: Decode;
  let jpeg: Buffer;
  before(async () => {
    decode = await decoder();
    jpeg = await noise(320, 240).jpeg().toBuffer();
  });

  test('zero bytes as empty_input', () => fails(decode(new Uint8Array()), 'empty_input'));

  for (const [what, bytes] of [
    ['one byte', Buffer.from([0xff])],
    ['text', Buffer.from('this is no photo')],
    ['an SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>')],
    ['a PDF', Buffer.from('%PDF-1.7\n1 0 obj\n<<>>\nendobj\n')],
    ['a program', Buffer.from('\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0', 'latin1')],
    ['an HTML page', Buffer.from('<!doctype html><img src="file:///etc/passwd">')],
    ['the signature of a JPEG before garbage', Buffer.concat([Buffer.from([0xff, 0xd8, 0xff]), Buffer.alloc(4096, 7)])],
    [
      'the signature of a PNG before garbage',
      Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.alloc(64, 9)]),
    ],
    ['the signature of a GIF alone', Buffer.from('GIF89a')],
    ['the signature of a WebP alone', Buffer.from('RIFF\x10\0\0\0WEBPVP8 ', 'latin1')],
    ['the signature of a TIFF alone', Buffer.from('II*\0\x08\0\0\0', 'latin1')],
    ['an iPhone’s HEIC', Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1')],
    ['the box of an AVIF alone', Buffer.from('\0\0\0\x18ftypavif\0\0\0\0mif1avif', 'latin1')],
  ] as const) {
    test(`${what} as not_an_image`, () => fails(decode(bytes), 'not_an_image'));
  }

  for (const share of [0.02, 0.25, 0.5, 0.95]) {
    test(`a JPEG cut at ${share * 100} % as image_truncated`, () =>
      fails(decode(jpeg.subarray(0, jpeg.length * share)), 'image_truncated'));
  }

  test('a progressive JPEG cut in the middle as image_truncated', async () => {
    const whole = await noise(320, 240).jpeg({ progressive: true }).toBuffer();
    await fails(decode(whole.subarray(0, whole.length / 2)), 'image_truncated');
  });

  test('a PNG cut in the header and in the middle as image_truncated', async () => {
    const whole = await noise(320, 240).png().toBuffer();
    await fails(decode(whole.subarray(0, 20)), 'image_truncated');
    await fails(decode(whole.subarray(0, whole.length / 2)), 'image_truncated');
  });

  test('a 100-megapixel bomb by its header, in the time that reading a header takes', async () => {
    const bomb = flatPng(10_000, 10_000);
    assert.ok(bomb.length < 20_000, `${bomb.length} bytes are no bomb`);
    const rssBefore = process.memoryUsage.rss();
    await fails(decode(bomb), 'image_too_large');
    assert.ok(process.memoryUsage.rss() - rssBefore < 50_000_000, 'the pixels were decoded');
  });

  test('more pixels than it was told, and not one fewer', async () => {
    const small = await decoder({}, 100);
    await fails(small(await pattern(11, 10).png().toBuffer()), 'image_too_large');
    assert.equal((await small(await pattern(10, 10).png().toBuffer())).width, 10);
  });
});

describe('decoding refuses strips', () => {
  test('that would be stretched beyond measure', async () => {
    const decode = await decoder();
    await fails(decode(flatPng(1, 10_001)), 'input_invalid');
    await fails(decode(flatPng(40_000_000, 1)), 'input_invalid');
    assert.equal((await decode(flatPng(1, 10_000))).height, 10_000);
  });
});

describe('decoding takes', () => {
  let decode: Decode;
  let expected: Uint8Array;
  const upright = () => pattern(96, 64);
  before(async () => {
    decode = await decoder();
    expected = (await decode(await upright().png().toBuffer())).pixels;
  });

  const encodings: Record<string, () => Promise<Buffer>> = {
    jpeg: () => upright().jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer(),
    'progressive jpeg': () =>
      upright().jpeg({ quality: 100, chromaSubsampling: '4:4:4', progressive: true }).toBuffer(),
    png: () => upright().png({ compressionLevel: 9 }).toBuffer(),
    'interlaced png': () => upright().png({ progressive: true }).toBuffer(),
    '16-bit png': () => upright().toColourspace('rgb16').png().toBuffer(),
    webp: () => upright().webp({ lossless: true }).toBuffer(),
    tiff: () => upright().tiff({ compression: 'lzw' }).toBuffer(),
    avif: () => upright().avif({ lossless: true }).toBuffer(),
    'opaque alpha': () => upright().ensureAlpha(1).png().toBuffer(),
  };
  for (const [name, encode] of Object.entries(encodings)) {
    test(`${name}, with the same pixels as any other`, async () => {
      const image = await decode(await encode());
      assert.equal(image.format, name.split(' ').at(-1)!.replace('alpha', 'png'));
      assert.deepEqual([image.width, image.height], [96, 64]);
      assert.ok(distance(image.pixels, expected) <= 12, `differs by ${distance(image.pixels, expected)} levels`);
    });
  }

  for (const orientation of [1, 2, 3, 4, 5, 6, 7, 8]) {
    test(`EXIF orientation ${orientation}, upright`, async () => {
      const image = await decode(await oriented(upright(), orientation));
      assert.deepEqual([image.width, image.height], [96, 64]);
      assert.ok(distance(image.pixels, expected) <= 12, `differs by ${distance(image.pixels, expected)} levels`);
    });
  }

  test('CMYK as colours', async () => {
    const image = await decode(
      await sharp({ create: { width: 60, height: 40, channels: 3, background: '#806050' } })
        .toColourspace('cmyk')
        .jpeg()
        .toBuffer(),
    );
    isNear(meanColour(image.pixels), [0x80, 0x60, 0x50], 16);
  });

  test('grey as grey', async () => {
    const image = await decode(
      await sharp({ create: { width: 60, height: 40, channels: 3, background: '#808080' } })
        .greyscale()
        .jpeg()
        .toBuffer(),
    );
    isNear(meanColour(image.pixels), [128, 128, 128], 2);
  });

  test('16-bit grey with alpha, and one bit', async () => {
    const grey = sharp({
      create: { width: 60, height: 40, channels: 4, background: { r: 128, g: 128, b: 128, alpha: 1 } },
    });
    const image = await decode(await grey.toColourspace('grey16').png().toBuffer());
    isNear(meanColour(image.pixels), [128, 128, 128], 2);
    isNear(meanColour((await decode(flatPng(64, 64))).pixels), [0, 0, 0], 0);
  });

  test('transparency as white', async () => {
    const clear = sharp({ create: { width: 60, height: 40, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0 } } });
    isNear(meanColour((await decode(await clear.png().toBuffer())).pixels), [255, 255, 255], 0);
  });

  test('the first frame of an animation', async () => {
    const frames = await Promise.all(
      ['#00ff00', '#ff0000'].map((background) =>
        sharp({ create: { width: 60, height: 40, channels: 3, background } })
          .png()
          .toBuffer(),
      ),
    );
    const image = await decode(
      await sharp(frames, { join: { animated: true } })
        .gif()
        .toBuffer(),
    );
    assert.deepEqual([image.format, image.width, image.height], ['gif', 60, 40]);
    isNear(meanColour(image.pixels), [0, 255, 0], 4);
  });

  test('a single pixel', async () => {
    const image = await decode(
      await sharp({ create: { width: 1, height: 1, channels: 3, background: '#102030' } })
        .png()
        .toBuffer(),
    );
    isNear(meanColour(image.pixels), [0x10, 0x20, 0x30], 0);
  });

  test('a strip one pixel wide', async () => {
    const image = await decode(
      await sharp({ create: { width: 1, height: 5_000, channels: 3, background: '#102030' } })
        .png()
        .toBuffer(),
    );
    isNear(meanColour(image.pixels), [0x10, 0x20, 0x30], 0);
  });
});

describe('geometry', () => {
  /** A red frame of 10 px around green. */
  const framed = (width: number, height: number) =>
    sharp({ create: { width: width - 20, height: height - 20, channels: 3, background: '#00ff00' } })
      .extend({ top: 10, bottom: 10, left: 10, right: 10, background: '#ff0000' })
      .png()
      .toBuffer();
  const corner = (pixels: Uint8Array): number[] => [...pixels.subarray(0, 3)];

  test('an image of the network’s own size is not touched', async () => {
    const decode = await decoder();
    const image = await decode(await pattern(48, 32).png().toBuffer());
    assert.deepEqual(Buffer.from(image.pixels), patternPixels(48, 32));
  });

  test('cover cuts what is too long, from both sides alike', async () => {
    const decode = await decoder({ width: 32, height: 32, kernel: 'nearest' });
    const stripes = await sharp(
      Buffer.concat(
        Array.from({ length: 32 }, () => Buffer.from(Array.from({ length: 64 }, (_, x) => [x, 0, 0]).flat())),
      ),
      {
        raw: { width: 64, height: 32, channels: 3 },
      },
    )
      .png()
      .toBuffer();
    const { pixels } = await decode(stripes);
    assert.deepEqual([pixels[0], pixels[31 * 3]], [16, 47]);
  });

  test('scale above 1 cuts the edge away before the network sees it', async () => {
    const sides = { width: 100, height: 100, kernel: 'nearest' as const };
    assert.deepEqual(corner((await (await decoder(sides))(await framed(200, 200))).pixels), [255, 0, 0]);
    assert.deepEqual(
      corner((await (await decoder({ ...sides, scale: 1.14 }))(await framed(200, 200))).pixels),
      [0, 255, 0],
    );
  });

  test('takes the same pixels as the training code: round the long side, cut from the floor of the half', () => {
    const square = { width: 128, height: 128, fit: 'cover' as const, scale: 1.14 };
    const place = (width: number, height: number) => {
      const { resized, left, top } = placePhoto(square, { width, height });
      return [resized.width, resized.height, left, top];
    };
    assert.deepEqual(place(160, 160), [146, 146, 9, 9]);
    assert.deepEqual(place(1_152, 864), [195, 146, 33, 9]);
    assert.deepEqual(place(120, 160), [146, 195, 9, 33]);
    assert.deepEqual(place(1, 1), [146, 146, 9, 9]);
    assert.deepEqual(place(1, 10_000), [146, 1_460_000, 9, 729_936]);
  });

  test('contain pads with the mean, fill stretches', async () => {
    const wide = await sharp({ create: { width: 100, height: 10, channels: 3, background: '#ffffff' } })
      .png()
      .toBuffer();
    assert.deepEqual(corner((await (await decoder({ fit: 'contain' }))(wide)).pixels), [128, 64, 191]);
    assert.deepEqual(corner((await (await decoder({ fit: 'fill' }))(wide)).pixels), [255, 255, 255]);
  });

  test('a large JPEG is shrunk to what a careful resize of its pixels gives', async () => {
    const decode = await decoder({ width: 64, height: 64 });
    const source = pattern(1_200, 800);
    const shrunk = (await decode(await source.clone().jpeg({ quality: 95 }).toBuffer())).pixels;
    const careful = (await decode(await source.clone().png().toBuffer())).pixels;
    const off = shrunk.filter((value, index) => Math.abs(value - careful[index]!) > 16).length;
    assert.ok(off / shrunk.length < 0.01, `${off} of ${shrunk.length} values differ by more than 16 levels`);
  });
});
