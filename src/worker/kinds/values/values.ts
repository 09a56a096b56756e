/**
 * The kinds `json`, `text`, `bytes` and `image`: an input goes to the runner as it came, once it is clear that it is of that
 * kind. What comes out is the model's affair: JSON, a text, or bytes with their type.
 */
import { isUtf8 } from 'node:buffer';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { PosternError } from '../../../errors.ts';
import { MAX_PAYLOAD_BYTES } from '../../../protocol/limits.ts';
import type { BytesInput, JsonValue } from '../../runner.ts';
import { sniffFormat } from '../../../images/sniff.ts';
import { NO_PARAMETERS } from '../kind.ts';
import type { Item, Parameters, ValueKind } from '../kind.ts';
import type { ValueManifest } from './manifest.ts';

const JSON_TYPE = 'application/json';
const TEXT_TYPE = 'text/plain; charset=utf-8';
/** Keys under which a JSON input may carry the text of a `text` model, best first. */
const TEXT_KEYS = ['text', 'prompt', 'input'] as const;

interface ValueItem extends Item {
  readonly value: BytesInput;
}

type Read = (input: BytesInput) => BytesInput;

const READERS: Readonly<Record<ValueManifest['kind'], Read>> = {
  // Whether it is JSON is found out where it is parsed, once. A file comes with its parameters, and the model gets both.
  json: (input) => input,
  text: readText,
  bytes: (input) => input,
  image: readImage,
};

export function createValueKind(folder: string, manifest: ValueManifest): ValueKind<ValueItem> {
  const read = READERS[manifest.kind];
  return {
    type: 'values',
    check: () => undefined,
    async prepare(input: Uint8Array, contentType: string, parameters: Parameters) {
      if (input.byteLength === 0) throw new PosternError('empty_input', 'the input has zero bytes');
      return Promise.resolve({ rows: 1, value: read({ input, contentType, parameters }) });
    },
    value: (item) => item.value,
    sample: () => readSample(folder, manifest),
  };
}

const isJson = (contentType: string): boolean => contentType === JSON_TYPE || contentType.startsWith(`${JSON_TYPE};`);

/** The bytes of a text, or a JSON string, or a JSON object with the text in it and parameters beside it. */
function readText({ input, contentType, parameters }: BytesInput): BytesInput {
  if (!isUtf8(input)) throw new PosternError('input_invalid', 'expected a text in UTF-8, but the bytes are not UTF-8');
  if (!isJson(contentType)) return { input, contentType: TEXT_TYPE, parameters };
  const value = parseJson(input);
  if (typeof value === 'string') return { input: Buffer.from(value), contentType: TEXT_TYPE, parameters };
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const object = value as Readonly<Record<string, JsonValue>>;
    const key = TEXT_KEYS.find((name) => typeof object[name] === 'string');
    if (key !== undefined) {
      const { [key]: text, ...rest } = object;
      return { input: Buffer.from(text as string), contentType: TEXT_TYPE, parameters: { ...parameters, ...rest } };
    }
  }
  throw new PosternError('input_invalid', `expected a text, or an object with one under ${TEXT_KEYS.join(', ')}`);
}

function parseJson(input: Uint8Array): JsonValue {
  try {
    return JSON.parse(Buffer.from(input.buffer, input.byteOffset, input.byteLength).toString('utf8')) as JsonValue;
  } catch {
    throw new PosternError('input_invalid', 'expected JSON');
  }
}

function readImage(input: BytesInput): BytesInput {
  const format = sniffFormat(input.input);
  if (format === null) throw new PosternError('not_an_image', 'the bytes are none of the image formats known here');
  return { ...input, contentType: `image/${format}` };
}

/** The real input of the warm-up: what the manifest gives, or a small picture. */
async function readSample(folder: string, manifest: ValueManifest): Promise<BytesInput> {
  const { warm_up: warmUp } = manifest;
  if ('input' in warmUp) {
    // A text model takes a JSON string as well.
    return { contentType: JSON_TYPE, input: Buffer.from(JSON.stringify(warmUp.input)), parameters: NO_PARAMETERS };
  }
  if (warmUp.file !== undefined) {
    const input = await readFileOf(folder, warmUp.file);
    return { contentType: 'application/octet-stream', input, parameters: NO_PARAMETERS };
  }
  return { contentType: 'image/png', input: Buffer.from(GREY_PNG, 'base64'), parameters: NO_PARAMETERS };
}

async function readFileOf(folder: string, name: string): Promise<Buffer> {
  try {
    const file = await open(join(folder, name), 'r');
    try {
      const { size } = await file.stat();
      if (size === 0 || size > MAX_PAYLOAD_BYTES) throw new Error(`it has ${size} bytes`);
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.replaceAll(`${folder}/`, '') : 'unreadable';
    throw new PosternError('model_invalid', `warm_up.file: ${name} cannot be read: ${reason}`, { cause });
  }
}

/** 64 × 64 pixels of grey: enough for a model to decode and to run on. */
const GREY_PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAATUlEQVR42u3PQQ0AAAgEIDX5RTeFDzdoQCepz6aeExAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQELi3oiwCAJt186UAAAAASUVORK5CYII=';
