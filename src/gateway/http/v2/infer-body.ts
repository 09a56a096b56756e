/** The body of an inference request: how much of it is JSON, and unpacked where it came packed. */
import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { PosternError } from '../../../errors.ts';
import { admit, readBody, tooLarge, type BodyLimits } from '../body.ts';
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

const UNPACK = { gzip: promisify(gunzip), deflate: promisify(inflate) } as const;

/** A packed body may grow to the limit of bodies, and no further. */
async function unpacked(body: Buffer, encoding: string | undefined, limits: BodyLimits): Promise<Buffer> {
  const { maxBytes, share } = limits;
  if (encoding === undefined || encoding === 'identity') return body;
  if (encoding !== 'gzip' && encoding !== 'deflate') {
    const message = `Content-Encoding is "${clip(encoding)}"; expected gzip, deflate or none.`;
    throw new PosternError('unsupported_media_type', message);
  }
  let plain: Buffer;
  try {
    plain = await UNPACK[encoding](body, { maxOutputLength: maxBytes });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes);
    throw new PosternError('bad_request', `The body is not valid ${encoding}.`, { cause: error });
  }
  if (plain.length > share.takenBytes) share.take(plain.length - share.takenBytes);
  return plain;
}
