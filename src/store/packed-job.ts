/**
 * A decided job as bytes: its fields as JSON, and its output behind them. A hundred thousand results kept as objects are
 * more than a million for the collector to copy and to mark, which showed as pauses of tens of milliseconds; kept as bytes
 * they are two each. Packing costs about 2 µs, once; reading costs the same, each time.
 */
import type { Job, Payload } from '../dispatch/job.ts';
import type { Slab } from './slab.ts';

export interface PackedJob {
  readonly memory: Buffer;
  readonly at: number;
  /** Of the JSON. The output follows. */
  readonly headBytes: number;
  readonly outputBytes: number;
}

/** The job without bytes: of the input, which is not kept, and of the output there are the types. */
type Head = Omit<Job, 'input' | 'output'> & { readonly inputType: string; readonly outputType: string | null };

const NO_BYTES = new Uint8Array(0);

/** The bytes are copied: they may be a view on a receive buffer, which they would keep alive for an hour. */
export function packJob(job: Job, slab: Slab): PackedJob {
  const { input, output, ...rest } = job;
  const head: Head = { ...rest, inputType: input.contentType, outputType: output?.contentType ?? null };
  const text = JSON.stringify(head);
  const headBytes = Buffer.byteLength(text);
  const outputBytes = output?.bytes.byteLength ?? 0;
  const { memory, at } = slab.reserve(headBytes + outputBytes);
  memory.write(text, at, headBytes, 'utf8');
  if (output !== null) memory.set(output.bytes, at + headBytes);
  return { memory, at, headBytes, outputBytes };
}

/** The same job, with an output that is a view on the packed bytes, and an input without any. */
export function unpackJob({ memory, at, headBytes, outputBytes }: PackedJob): Job {
  const { inputType, outputType, ...rest } = JSON.parse(memory.toString('utf8', at, at + headBytes)) as Head;
  const start = at + headBytes;
  const output: Payload | null =
    outputType === null ? null : { contentType: outputType, bytes: memory.subarray(start, start + outputBytes) };
  return { ...rest, input: { contentType: inputType, bytes: NO_BYTES }, output };
}
