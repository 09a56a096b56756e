/**
 * A file of the spool: ends of attempts, one after another, each with a checksum. Bytes in, ends out; no disk.
 *
 * `PSPOOL1\n`, then for each end: length of the JSON (u32), length of the payload (u32), CRC-32 of both (u32), the JSON, the
 * payload. Big-endian. The JSON is the end's message as it goes over the wire, with its `session`.
 */
import { crc32 } from 'node:zlib';
import { PosternError } from '../errors.ts';
import { MAX_MESSAGE_BYTES, MAX_PAYLOAD_BYTES } from '../protocol/limits.ts';
import type { MessageOf } from '../protocol/messages.ts';
import { checkMessage } from '../protocol/parse.ts';

const MAGIC = Buffer.from('PSPOOL1\n');
const HEAD_BYTES = 12;

export interface SpooledEnd {
  readonly message: (MessageOf<'result'> | MessageOf<'failure'>) & { readonly session: string };
  readonly payload: Uint8Array | undefined;
}

export function writeSpoolFile(ends: readonly SpooledEnd[]): Buffer {
  const pieces: Uint8Array[] = [MAGIC];
  for (const { message, payload = Buffer.alloc(0) } of ends) {
    const json = Buffer.from(JSON.stringify(message));
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32BE(json.length, 0);
    head.writeUInt32BE(payload.length, 4);
    head.writeUInt32BE(crc32(payload, crc32(json)), 8);
    pieces.push(head, json, payload);
  }
  return Buffer.concat(pieces);
}

/** All ends up to the first that is broken, and what is wrong with that one; null: nothing is. */
export function readSpoolFile(file: Buffer): { readonly ends: readonly SpooledEnd[]; readonly problem: string | null } {
  const ends: SpooledEnd[] = [];
  if (!file.subarray(0, MAGIC.length).equals(MAGIC)) return { ends, problem: 'it is no file of the spool' };
  let at = MAGIC.length;
  while (at < file.length) {
    if (file.length - at < HEAD_BYTES) return { ends, problem: `it ends in the middle of a head, at byte ${at}` };
    const jsonBytes = file.readUInt32BE(at);
    const payloadBytes = file.readUInt32BE(at + 4);
    const jsonAt = at + HEAD_BYTES;
    const payloadAt = jsonAt + jsonBytes;
    const end = payloadAt + payloadBytes;
    if (jsonBytes > MAX_MESSAGE_BYTES || payloadBytes > MAX_PAYLOAD_BYTES || end > file.length) {
      return { ends, problem: `its lengths at byte ${at} cannot be` };
    }
    const payload = file.subarray(payloadAt, end);
    if (file.readUInt32BE(at + 8) !== crc32(payload, crc32(file.subarray(jsonAt, payloadAt)))) {
      return { ends, problem: `the checksum at byte ${at} is wrong` };
    }
    const message = readMessage(file.toString('utf8', jsonAt, payloadAt), payloadBytes);
    if (message === null) return { ends, problem: `what is at byte ${at} is no end of an attempt` };
    ends.push({ message, payload: message.type === 'result' ? payload : undefined });
    at = end;
  }
  return { ends, problem: null };
}

function readMessage(json: string, payloadBytes: number): SpooledEnd['message'] | null {
  try {
    const message = checkMessage(JSON.parse(json));
    if (message.type !== 'result' && message.type !== 'failure') return null;
    if (message.session === undefined) return null;
    if ((message.type === 'result' ? message.bytes : 0) !== payloadBytes) return null;
    return { ...message, session: message.session };
  } catch (error) {
    if (error instanceof PosternError || error instanceof SyntaxError) return null;
    throw error;
  }
}
