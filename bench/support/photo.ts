/** A picture with the detail of a photo: noise at several scales compresses to the 200–300 KB of a phone's megapixel. */
import sharp from 'sharp';

export async function examplePhoto(): Promise<Buffer<ArrayBuffer>> {
  const [width, height] = [1_152, 864];
  const grain = {
    width,
    height,
    channels: 3 as const,
    background: '#4d7a3a',
    noise: { type: 'gaussian' as const, mean: 110, sigma: 35 },
  };
  const soft = await sharp({ create: grain }).blur(2).png().toBuffer();
  const large = await sharp({ create: { ...grain, width: 72, height: 54 } })
    .resize(width, height, { kernel: 'cubic' })
    .png()
    .toBuffer();
  const photo = sharp(soft).composite([{ input: large, blend: 'overlay' }]);
  return Buffer.from(await photo.jpeg({ quality: 85 }).toBuffer());
}
