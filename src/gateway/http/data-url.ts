/** `data:image/jpeg;base64,...` into bytes. Strict: a character that is no base64 would otherwise vanish silently. */
import { PosternError } from '../../errors.ts';
import type { Payload } from '../../dispatch/job.ts';
import { badParameter } from './parameters.ts';

const HEAD =
  /^data:([a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126})?((?:;[^;,]{0,200}){0,8}?)(;base64)?,/i;
/** Longer than any head that HEAD accepts; keeps the expression off the megabytes behind the comma. */
const MAX_HEAD_CHARS = 2_048;

export function readDataUrl(field: string, url: string): Payload {
  const head = HEAD.exec(url.slice(0, MAX_HEAD_CHARS));
  if (head === null) throw badParameter(`"${field}" is a broken data URL; expected data:<type>;base64,<data>.`);
  const data = url.slice(head[0].length);
  const bytes = head[3] === undefined ? fromPercent(field, data) : fromBase64(field, data);
  if (bytes.length === 0) throw new PosternError('empty_input', `The data URL in "${field}" has zero bytes.`);
  return { contentType: head[1]?.toLowerCase() ?? 'text/plain', bytes };
}

function fromBase64(field: string, text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  // Node skips what is no base64, so bytes are missing exactly when the text was broken.
  if (bytes.length !== Math.floor(((text.length - padding) * 3) / 4)) {
    throw badParameter(`The data URL in "${field}" is not valid base64.`);
  }
  return bytes;
}

function fromPercent(field: string, text: string): Buffer {
  try {
    return Buffer.from(decodeURIComponent(text));
  } catch {
    throw badParameter(`The data URL in "${field}" has a broken percent escape.`);
  }
}
