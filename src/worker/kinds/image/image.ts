/** The kind `image-classification`: a photo in, labels with scores out. */
import { PosternError } from '../../../errors.ts';
import type { Clock } from '../../../clock.ts';
import { MAX_TOP_K } from '../../manifest.ts';
import type { ImageClassificationManifest } from '../../manifest.ts';
import type { TensorShape } from '../../runner.ts';
import type { Item, Parameters, TensorKind } from '../kind.ts';
import { NO_PARAMETERS } from '../kind.ts';
import { createClassifier } from './classify.ts';
import type { Classification } from './classify.ts';
import { loadSharp } from '../../../images/images.ts';
import { createDecoder } from './decode.ts';
import type { DecodedImage } from './decode.ts';
import { readLabels } from './labels.ts';
import { createNormalise } from './normalise.ts';

const CHANNELS = 3;
const SAMPLE_SIDE_PX = 256;

export interface ImageKindOptions {
  readonly folder: string;
  readonly manifest: ImageClassificationManifest;
  readonly maxPixels: number;
  readonly clock: Clock;
}

interface ImageItem extends Item {
  readonly image: DecodedImage;
  readonly topK: number;
}

export async function createImageKind(options: ImageKindOptions): Promise<TensorKind<ImageItem>> {
  const { manifest } = options;
  const { input, output } = manifest;
  const labels = await readLabels(options.folder, output.labels);
  if (output.reject && !labels.includes(output.reject.label)) {
    throw new PosternError(
      'model_invalid',
      `output.reject.label: ${output.labels} has no label "${output.reject.label}"`,
    );
  }
  const sharp = await loadSharp();
  const decode = createDecoder(sharp, { input, maxPixels: options.maxPixels, clock: options.clock });
  const pixelCount = input.width * input.height;
  const normalise = createNormalise(input.mean, input.std, pixelCount);
  const classify = createClassifier({
    labels,
    temperature: output.temperature,
    reject: output.reject,
    unsureBelow: output.unsure_below,
  });
  const model = { name: manifest.name, version: manifest.version };

  return {
    type: 'tensors',
    check(info) {
      const problems = [
        ...shapeProblems('input', info.inputs, input.name, manifest.batch.max_rows, [
          CHANNELS,
          input.height,
          input.width,
        ]),
        ...shapeProblems('output', info.outputs, output.name, manifest.batch.max_rows, [labels.length]),
      ];
      const others = info.inputs.filter((shape) => shape.name !== input.name).map((shape) => shape.name);
      if (others.length > 0)
        problems.push(`the network also needs the inputs ${others.join(', ')}, which no key provides`);
      if (problems.length > 0) throw new PosternError('model_invalid', problems.join('; '));
    },
    async prepare(bytes, _contentType, parameters) {
      const topK = parseTopK(parameters, output.top_k);
      return { rows: 1, image: await decode(bytes), topK };
    },
    assemble(items) {
      const data = new Float32Array(items.length * CHANNELS * pixelCount);
      items.forEach((item, row) => normalise(item.image.pixels, data, row * CHANNELS * pixelCount));
      return { [input.name]: { type: 'float32', dims: [items.length, CHANNELS, input.height, input.width], data } };
    },
    finish(outputs, items) {
      const logits = outputs[output.name];
      const expected = items.length * labels.length;
      if (!(logits?.data instanceof Float32Array) || logits.data.length !== expected) {
        throw new PosternError(
          'output_invalid',
          `expected ${expected} float32 values of "${output.name}", got ${logits?.data.length ?? 'none'}`,
        );
      }
      const values = logits.data;
      return items.map((item, row) => {
        const result = classify(values.subarray(row * labels.length, (row + 1) * labels.length), item.topK);
        if (!result) return new PosternError('output_invalid', 'the network answered numbers that are not finite');
        return { contentType: 'application/json', bytes: Buffer.from(answerText(result, model, item.image)) };
      });
    },
    async sample() {
      const noise = { type: 'gaussian', mean: 128, sigma: 40 } as const;
      const background = { r: 128, g: 128, b: 128 };
      const photo = await sharp({
        create: { width: SAMPLE_SIDE_PX, height: SAMPLE_SIDE_PX, channels: CHANNELS, background, noise },
      })
        .jpeg()
        .toBuffer();
      return { contentType: 'image/jpeg', input: photo, parameters: NO_PARAMETERS };
    },
  };
}

function answerText(result: Classification, model: { name: string; version: string }, image: DecodedImage): string {
  return JSON.stringify({
    predictions: result.predictions,
    rejected: result.rejected,
    unsure: result.unsure,
    reject_score: result.rejectScore,
    model,
    input: { width: image.width, height: image.height, format: image.format },
  });
}

/** The only parameter. Others are refused: a misspelt one must not be ignored in silence. */
function parseTopK(parameters: Parameters, fallback: number): number {
  for (const name of Object.keys(parameters)) {
    if (name !== 'top_k')
      throw new PosternError('bad_parameter', `${name.slice(0, 64)}: unknown parameter, this model takes top_k only`);
  }
  const value = parameters.top_k ?? fallback;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > MAX_TOP_K) {
    throw new PosternError('bad_parameter', `top_k: expected a whole number from 1 to ${MAX_TOP_K}`);
  }
  return value;
}

/** The network's dimensions against the manifest's; `any` fits all. The first is the batch: `any`, or 1 where no batch is made. */
function shapeProblems(
  what: 'input' | 'output',
  shapes: readonly TensorShape[],
  name: string,
  maxRows: number,
  row: readonly number[],
): string[] {
  const shape = shapes.find((candidate) => candidate.name === name);
  if (!shape) {
    return [
      `${what}.name: the network has no ${what} "${name}", it has ${shapes.map((candidate) => candidate.name).join(', ')}`,
    ];
  }
  const problems: string[] = [];
  if (shape.type !== 'float32') problems.push(`${what} "${name}": expected float32, the network has ${shape.type}`);
  const [batch, ...rest] = shape.dims;
  if (rest.length !== row.length || rest.some((dim, index) => dim !== null && dim !== row[index])) {
    const got = rest.map((dim) => dim ?? 'any').join(' × ');
    problems.push(
      `${what} "${name}": postern.yaml and the labels give rows of ${row.join(' × ')}, the network has ${got}`,
    );
  }
  if (batch !== null && !(batch === 1 && maxRows === 1)) {
    problems.push(
      `${what} "${name}": the first dimension is fixed at ${batch}: export it as dynamic, or set batch.max_rows to 1 for 1`,
    );
  }
  return problems;
}
