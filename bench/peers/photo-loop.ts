/**
 * The plain loop: decode a photo as `postern.yaml` says, infer, take the best class; again until the time is over. Written
 * straight against sharp and ONNX Runtime, sharing nothing with the worker. Prints {"imagesPerSecond": …}.
 */
import { readFileSync } from 'node:fs';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import sharp from 'sharp';
import { parse } from 'yaml';

interface Manifest {
  readonly file: string;
  readonly input: {
    readonly name: string;
    readonly width: number;
    readonly height: number;
    readonly fit: 'cover' | 'fill' | 'contain';
    readonly scale: number;
    readonly kernel: 'nearest' | 'linear' | 'cubic' | 'lanczos3';
    readonly mean: readonly [number, number, number];
    readonly std: readonly [number, number, number];
  };
  readonly output: { readonly name: string };
}

const [photoFile = '', seconds = '5', inFlight = '1'] = process.argv.slice(2);
const folder = new URL('../../models/plants/1/', import.meta.url);
const { file, input, output } = parse(readFileSync(new URL('postern.yaml', folder), 'utf8')) as Manifest;
const photo = readFileSync(photoFile);
const session = await InferenceSession.create(new URL(file, folder).pathname);
sharp.concurrency(1);
sharp.cache(false);

async function classify(): Promise<number> {
  const [width, height] = [Math.round(input.width * input.scale), Math.round(input.height * input.scale)];
  const pixels = await sharp(photo)
    .autoOrient()
    .resize(width, height, { fit: input.fit, kernel: input.kernel })
    .extract({
      left: Math.floor((width - input.width) / 2),
      top: Math.floor((height - input.height) / 2),
      width: input.width,
      height: input.height,
    })
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer();
  const plane = input.width * input.height;
  const data = new Float32Array(3 * plane);
  for (let channel = 0; channel < 3; channel += 1) {
    const mean = input.mean[channel] ?? 0;
    const std = input.std[channel] ?? 1;
    for (let at = 0; at < plane; at += 1)
      data[channel * plane + at] = ((pixels[at * 3 + channel] ?? 0) / 255 - mean) / std;
  }
  const result = await session.run({ [input.name]: new Tensor('float32', data, [1, 3, input.height, input.width]) });
  const logits = result[output.name]?.data as Float32Array;
  return logits.indexOf(Math.max(...logits));
}

for (let n = 0; n < 10; n += 1) await classify();
let done = 0;
const began = performance.now();
const until = began + Number(seconds) * 1_000;
await Promise.all(
  Array.from({ length: Number(inFlight) }, async () => {
    while (performance.now() < until) {
      await classify();
      done += 1;
    }
  }),
);
console.log(JSON.stringify({ imagesPerSecond: done / ((performance.now() - began) / 1_000) }));
// ONNX Runtime's threads keep nothing alive, but say so plainly: the measuring side waits for the end.
process.exit(0);
