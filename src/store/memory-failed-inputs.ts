/** Inputs of jobs that failed, so that they can be tried again: the newest of them, up to so many bytes. */
import type { Job, JobId, Payload } from '../dispatch/job.ts';
import { keepsInput } from './failed-inputs.ts';

export function createMemoryFailedInputs(maxBytes: number) {
  /** In the order in which their jobs failed. */
  const inputs = new Map<JobId, Payload>();
  let bytes = 0;

  /** False: there was none. */
  function drop(id: JobId): boolean {
    const input = inputs.get(id);
    if (input === undefined) return false;
    inputs.delete(id);
    bytes -= input.bytes.byteLength;
    return true;
  }

  return {
    /** `input`: of a job that was decided just now. */
    add({ id, status, cancelRequested }: Pick<Job, 'id' | 'status' | 'cancelRequested'>, input: Payload): void {
      const { byteLength } = input.bytes;
      if (!keepsInput({ status, cancelRequested, bytes: byteLength }, maxBytes)) return;
      // A copy: they may be a view on a receive buffer, which they would keep alive.
      inputs.set(id, { contentType: input.contentType, bytes: input.bytes.slice() });
      bytes += byteLength;
      for (const oldest of inputs.keys()) {
        if (bytes <= maxBytes) break;
        drop(oldest);
      }
    },
    drop,
    get: (id: JobId): Payload | null => inputs.get(id) ?? null,
  };
}
