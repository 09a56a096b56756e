/** `postern predict --stream`: one file in, its output as it comes. */
import { isUtf8 } from 'node:buffer';
import { PosternError, isErrorCode } from '../errors.ts';
import type { Client, PredictOptions } from '../client/client.ts';
import type { PredictionEvent } from '../client/stream.ts';
import { EXIT_FAILED, EXIT_OK } from './exit.ts';
import { printableLines } from './terminal.ts';

export interface StreamRequest {
  readonly model: string;
  readonly input: Blob;
  readonly options: PredictOptions;
  readonly json: boolean;
}

/** Standard output gets the output and nothing else; everything that is told about it goes to standard error. */
export async function predictStream(client: Client, { model, input, options, json }: StreamRequest): Promise<number> {
  const { id } = await client.predict(model, input, { ...options, waitS: 0 });
  let code = EXIT_OK;
  for await (const event of client.stream(id)) {
    if (json) process.stdout.write(`${JSON.stringify({ prediction: id, ...event })}\n`);
    else show(event);
    if (event.type === 'done' && event.reason !== null) code = EXIT_FAILED;
    if (event.type === 'error' && !json) {
      throw new PosternError(isErrorCode(event.code) ? event.code : 'model_failed', event.detail);
    }
  }
  if (!json && process.stdout.isTTY) process.stdout.write('\n');
  return code;
}

function show(event: PredictionEvent): void {
  switch (event.type) {
    case 'output':
      process.stdout.write(contentOf(event.data));
      return;
    case 'reset':
      process.stderr.write('\npostern: the worker was lost; the output begins again\n');
      return;
    case 'done':
      if (event.reason === 'canceled') process.stderr.write('postern: the prediction was canceled\n');
      return;
    default:
  }
}

/** Bytes as they are, for a file or a pipe; text without what could steer a terminal. */
function contentOf(data: string): string | Buffer {
  const match = /^data:[^,]{1,300};base64,/.exec(data);
  const bytes = match === null ? null : Buffer.from(data.slice(match[0].length), 'base64');
  if (!process.stdout.isTTY) return bytes ?? data;
  if (bytes === null) return printableLines(data);
  return isUtf8(bytes) ? printableLines(bytes.toString()) : `[${bytes.length} bytes]\n`;
}
