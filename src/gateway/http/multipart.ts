/**
 * `multipart/form-data`: a file part is the input, the fields beside it are parameters. Streamed through busboy, counted
 * as it arrives, so that a body over the limit is refused while most of it is still with the caller.
 */
import type { IncomingMessage } from 'node:http';
import { Busboy, type BusboyHeaders } from '@fastify/busboy';
import { PosternError } from '../../errors.ts';
import { CallerGone, countChunk, type BodyLimits } from './body.ts';
import { clip, MAX_PARAMETERS, MAX_PARAMETERS_BYTES } from './parameters.ts';

export interface FilePart {
  readonly field: string;
  /** As the caller's machine calls it. */
  readonly name: string;
  readonly contentType: string;
  readonly bytes: Buffer;
}

export interface Form {
  readonly files: readonly FilePart[];
  readonly fields: readonly (readonly [name: string, value: string])[];
}

/** Names under which the file may come; `curl -F image=@rose.jpg` is the usual one. */
export const FILE_FIELDS: ReadonlySet<string> = new Set(['image', 'file', 'input']);

/** What a form may consist of. */
export interface FormShape {
  /** A file may come under these names. */
  readonly files: ReadonlySet<string>;
  readonly maxFiles: number;
  /** Some clients send these as files too; they are read like any other field. */
  readonly texts: ReadonlySet<string>;
}

export const PREDICTION_FORM: FormShape = { files: FILE_FIELDS, maxFiles: 1, texts: new Set() };
export const UPLOAD_FORM: FormShape = {
  files: new Set(['content', 'file']),
  maxFiles: 1,
  texts: new Set(['metadata']),
};
const MAX_FIELD_NAME_BYTES = 100;
/** A part has two or three headers. */
const MAX_PART_HEADERS = 16;
/** Parameters and the few fields that name the model, the deadline and the like. */
const MAX_FIELDS = MAX_PARAMETERS + 8;

function malformed(message: string): PosternError {
  return new PosternError('bad_multipart', message);
}

export function readMultipart(request: IncomingMessage, limits: BodyLimits, shape: FormShape): Promise<Form> {
  return new Promise((resolve, reject) => {
    const fields: (readonly [string, string])[] = [];
    /** In their order in the form, whichever ends first. */
    const files: (FilePart | null)[] = [];
    const many =
      shape.maxFiles === 1
        ? 'The form has more than one file; expected one input.'
        : `The form has more than ${shape.maxFiles} files.`;
    let receivedBytes = 0;
    let settled = false;

    const fail = (error: Error): void => {
      if (settled) return;
      settled = true;
      reject(error);
    };

    let parser: InstanceType<typeof Busboy>;
    try {
      parser = new Busboy({
        headers: request.headers as BusboyHeaders,
        // By the file name alone: a field may say application/octet-stream too.
        isPartAFile: (_field, _type, name) => name !== undefined,
        limits: {
          fieldNameSize: MAX_FIELD_NAME_BYTES,
          // A data URL in a field is as long as a file.
          fieldSize: Math.max(MAX_PARAMETERS_BYTES, limits.maxBytes),
          fields: MAX_FIELDS,
          files: shape.maxFiles + shape.texts.size,
          parts: MAX_FIELDS + shape.maxFiles + shape.texts.size,
          headerPairs: MAX_PART_HEADERS,
          fileSize: limits.maxBytes,
        },
      });
    } catch (error) {
      reject(malformed(`The Content-Type of the form cannot be used: ${reasonOf(error)}.`));
      return;
    }

    parser.on('file', (field, stream, name, _encoding, contentType) => {
      const chunks: Buffer[] = [];
      stream.on('error', (error: Error) => fail(malformed(`A part of the form cannot be read: ${reasonOf(error)}.`)));
      const isText = shape.texts.has(field);
      if (!isText && !shape.files.has(field)) {
        stream.resume();
        fail(malformed(`The file is in the field "${clip(field)}"; expected ${namesOf(shape.files)}.`));
        return;
      }
      if (!isText && files.length === shape.maxFiles) {
        stream.resume();
        fail(malformed(many));
        return;
      }
      const place = isText ? -1 : files.push(null) - 1;
      stream.on('data', (chunk: Buffer) => {
        if (!settled) chunks.push(chunk);
      });
      stream.on('end', () => {
        if (settled) return;
        const bytes = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
        if (isText) fields.push([field, bytes.toString('utf8')]);
        else files[place] = { field, name, contentType, bytes };
      });
    });
    parser.on('field', (name, value, nameTruncated, valueTruncated) => {
      if (settled) return;
      if (typeof name !== 'string' || nameTruncated)
        fail(malformed(`A field's name is longer than ${MAX_FIELD_NAME_BYTES} bytes.`));
      else if (valueTruncated) fail(malformed(`The field "${clip(name)}" is longer than the limit.`));
      else fields.push([name, value]);
    });
    parser.on('filesLimit', () => fail(malformed(many)));
    parser.on('fieldsLimit', () => fail(malformed(`The form has more than ${MAX_FIELDS} fields.`)));
    parser.on('partsLimit', () => fail(malformed(`The form has more than ${MAX_FIELDS + shape.maxFiles} parts.`)));
    parser.on('error', (error) => fail(malformed(`The form is broken: ${reasonOf(error)}.`)));
    parser.on('finish', () => {
      if (settled) return;
      settled = true;
      resolve({ files: files.filter((file) => file !== null), fields });
    });

    request.on('data', (chunk: Buffer) => {
      if (settled) return;
      try {
        receivedBytes = countChunk(receivedBytes, chunk.length, limits);
      } catch (error) {
        fail(error as Error);
        return;
      }
      // Chunks are counted and kept anyway, so busboy's own back-pressure would only add a pause.
      parser.write(chunk);
    });
    request.on('end', () => {
      if (!settled) parser.end();
    });
    // A form that has arrived closes its stream before busboy has looked at the end of it: that is no departure.
    const gone = (): void => {
      if (!request.complete) fail(new CallerGone('the connection closed while the form arrived'));
    };
    request.on('error', gone);
    request.on('close', gone);
  });
}

function namesOf(fields: ReadonlySet<string>): string {
  const names = [...fields].map((name) => `"${name}"`);
  return names.length === 1 ? names.join() : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
}

function reasonOf(error: unknown): string {
  return error instanceof Error && error.message !== '' ? clip(error.message) : 'it does not follow the format';
}
