/** The body of an inference request: how much of it is JSON, and unpacked where it came packed. */
import type { IncomingMessage } from 'node:http';
import { createGunzip, createInflate } from 'node:zlib';
import { PosternError } from '../../../errors.ts';
import { admit, countChunk, readBody, type BodyLimits } from '../body.ts';
import { badParameter, clip } from '../parameters.ts';

export interface InferBody {
  readonly body: Buffer;
  /** Of the JSON before the tensors' bytes; null: all of it is JSON. */
  readonly headerBytes: number | null;
}

export async function readInferBody(request: IncomingMessage, limits: BodyLimits): Promise<InferBody> {
  const headerBytes = headerLength(request.headers['inference-header-content-length']);
  admit(request, limits);
  const body = await readBody(request, limits);
  return { body: await unpacked(body, request.headers['content-encoding'], limits), headerBytes };
}

function headerLength(header: string | string[] | undefined): number | null {
  if (header === undefined) return null;
  const text = String(header);
  if (!/^\d{1,10}$/.test(text)) {
    throw badParameter(`Inference-Header-Content-Length is "${clip(text)}"; expected the length of the JSON in bytes.`);
  }
  return Number(text);
}

const UNPACK = { gzip: createGunzip, deflate: createInflate } as const;

/**
 * A packed body may grow to the limit of bodies, and no further. What it grows by is set aside as it comes: counted at the
 * end, a thousand small bodies that unpack at once would have filled the memory before the first was counted.
 */
async function unpacked(body: Buffer, encoding: string | undefined, limits: BodyLimits): Promise<Buffer> {
  if (encoding === undefined || encoding === 'identity') return body;
  if (encoding !== 'gzip' && encoding !== 'deflate') {
    const message = `Content-Encoding is "${clip(encoding)}"; expected gzip, deflate or none.`;
    throw new PosternError('unsupported_media_type', message);
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    const unpacker = UNPACK[encoding]();
    unpacker.end(body);
    for await (const chunk of unpacker as AsyncIterable<Buffer>) {
      bytes = countChunk(bytes, chunk.length, limits);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof PosternError) throw error;
    throw new PosternError('bad_request', `The body is not valid ${encoding}.`, { cause: error });
  }
  return Buffer.concat(chunks, bytes);
}
