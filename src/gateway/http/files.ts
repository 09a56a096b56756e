/** `/v1/files`: upload a file once, name it as the input of any number of predictions. Replicate's shape. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { createIds } from '../../dispatch/id.ts';
import type { Payload } from '../../dispatch/job.ts';
import { PosternError } from '../../errors.ts';
import type { StoredFile } from '../../store/files.ts';
import type { Files } from '../files/files.ts';
import { listedCaller, type Access } from './access.ts';
import { admit, hasBody, readBody, type BodyLimits } from './body.ts';
import type { BodyBudget, Share } from './budget.ts';
import { MEDIA_TYPE, mediaType } from './media-type.ts';
import { readMultipart, UPLOAD_FORM } from './multipart.ts';
import { badParameter, clip, parseJsonSafely } from './parameters.ts';
import { asBuffer } from './render.ts';
import { json, type Answer, type Call, type Route } from './route.ts';

export interface FileRoutesOptions {
  readonly files: Files;
  readonly budget: BodyBudget;
  readonly clock: Clock;
  readonly maxBodyBytes: number;
  readonly baseOf: (call: Call) => string;
}

const PAGE = 100;
const MAX_NAME_CHARS = 255;
const MAX_METADATA_BYTES = 16_384;
const ID = /^[0-9a-f-]{36}$/;

interface Upload {
  readonly name: string;
  readonly contentType: string;
  readonly content: Buffer;
  readonly metadata: string;
}

export function fileRoutes({ files, budget, clock, maxBodyBytes, baseOf }: FileRoutesOptions): Route[] {
  const nextId = createIds(clock, randomBytes);

  async function create(call: Call): Promise<Answer> {
    const share = budget.open();
    try {
      const upload = await readUpload(call, { maxBytes: maxBodyBytes, share });
      const file = await files.add({ ...upload, id: nextId(), caller: call.caller });
      return json(201, JSON.stringify(fileBody(file, baseOf(call))));
    } finally {
      share.release();
    }
  }

  const find = (call: Call): Promise<StoredFile> => ownFile(files, call.access, call.params.id ?? '');

  async function download(call: Call): Promise<Answer> {
    const file = await find(call);
    const headers = [
      ...['content-type', file.contentType, 'cache-control', 'no-store', 'x-content-type-options', 'nosniff'],
      // It is whatever somebody uploaded: shown as a page it must not act as one of ours.
      ...['content-security-policy', "default-src 'none'; sandbox", 'content-disposition', 'attachment'],
    ];
    return { status: 200, headers, body: asBuffer(await bytesOf(files, file)) };
  }

  async function list(call: Call): Promise<Answer> {
    const after = call.query.cursor ?? null;
    if (after !== null && (typeof after !== 'string' || !ID.test(after)))
      throw badParameter('cursor is not one that a page gave.');
    const page = await files.list({ caller: listedCaller(call.access), limit: PAGE, after });
    const base = baseOf(call);
    const next = page.next === null ? null : `${base}/v1/files?cursor=${page.next}`;
    const results = page.files.map((file) => fileBody(file, base));
    return json(200, JSON.stringify({ results, next, previous: null }));
  }

  async function remove(call: Call): Promise<Answer> {
    await files.remove(await find(call));
    return { status: 204, headers: ['cache-control', 'no-store'], body: '' };
  }

  return [
    { method: 'POST', path: '/v1/files', scope: 'predict', handle: create },
    { method: 'GET', path: '/v1/files', scope: 'predict', handle: list },
    {
      method: 'GET',
      path: '/v1/files/:id',
      scope: 'predict',
      handle: async (call) => json(200, JSON.stringify(fileBody(await find(call), baseOf(call)))),
    },
    { method: 'DELETE', path: '/v1/files/:id', scope: 'predict', handle: remove },
    { method: 'GET', path: '/v1/files/:id/download', scope: 'predict', handle: download },
  ];
}

/** The id in an address of this gateway's own files; null: the address is of something else. */
export function fileIdIn(url: string, base: string): string | null {
  const start = `${base}/v1/files/`;
  if (base === '' || !url.startsWith(start)) return null;
  const id = url.slice(start.length).replace(/\/download$/, '');
  return ID.test(id) ? id : null;
}

/** An uploaded file as an input. It is read from where it lies: no request goes out for it. */
export async function fileInput(files: Files, access: Access, id: string, share: Share): Promise<Payload> {
  const file = await ownFile(files, access, id);
  share.take(file.bytes);
  return { contentType: file.contentType, bytes: await bytesOf(files, file) };
}

async function ownFile(files: Files, access: Access, id: string): Promise<StoredFile> {
  const file = ID.test(id) ? await files.get(id) : null;
  if (file !== null && (access.admin || file.caller === access.caller)) return file;
  throw new PosternError('file_not_found', `There is no file "${clip(id)}". Files are kept for a limited time.`);
}

async function bytesOf(files: Files, file: StoredFile): Promise<Uint8Array> {
  const bytes = await files.read(file);
  // Removed between the look and the read.
  if (bytes === null) throw new PosternError('file_not_found', `The file "${file.id}" was removed.`);
  return bytes;
}

async function readUpload({ request }: Call, limits: BodyLimits): Promise<Upload> {
  const type = mediaType(request.headers['content-type']);
  if (!hasBody(request)) throw new PosternError('missing_input', 'The request has no body; expected a file.');
  admit(request, limits);
  const upload =
    type === 'multipart/form-data'
      ? await formUpload(request, limits)
      : { name: '', contentType: type, content: await readBody(request, limits), metadata: '{}' };
  if (upload.content.length === 0) throw new PosternError('empty_input', 'The file has zero bytes.');
  const { contentType } = upload;
  return { ...upload, contentType: MEDIA_TYPE.test(contentType) ? contentType : 'application/octet-stream' };
}

async function formUpload(request: Call['request'], limits: BodyLimits): Promise<Upload> {
  const { files, fields } = await readMultipart(request, limits, UPLOAD_FORM);
  const [file] = files;
  if (file === undefined) {
    throw new PosternError('missing_input', 'The form has no file; expected one in the field "content".');
  }
  let name = file.name;
  let contentType = mediaType(file.contentType);
  let metadata = '{}';
  for (const [field, value] of fields) {
    if (field === 'filename') name = value;
    else if (field === 'type') contentType = mediaType(value);
    else if (field === 'metadata') metadata = checkMetadata(value);
    else throw badParameter(`Unknown field "${clip(field)}"; expected content, filename, type or metadata.`);
  }
  if (name.length > MAX_NAME_CHARS) throw badParameter(`The file's name is longer than ${MAX_NAME_CHARS} characters.`);
  return { name, contentType, content: file.bytes, metadata };
}

function checkMetadata(text: string): string {
  if (Buffer.byteLength(text) > MAX_METADATA_BYTES) {
    throw badParameter(`metadata is larger than ${MAX_METADATA_BYTES} bytes.`);
  }
  const value = parseJsonSafely(text, 'bad_parameter');
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return text;
  throw badParameter('metadata must be a JSON object.');
}

function fileBody(file: StoredFile, base: string): object {
  const url = `${base}/v1/files/${file.id}`;
  return {
    id: file.id,
    name: file.name,
    content_type: file.contentType,
    size: file.bytes,
    etag: file.sha256,
    checksums: { sha256: file.sha256, md5: file.md5 },
    metadata: JSON.parse(file.metadata) as object,
    created_at: new Date(file.createdAt).toISOString(),
    expires_at: new Date(file.expiresAt).toISOString(),
    urls: { get: url, download: `${url}/download` },
  };
}
