/** `ready.json`: what a worker says of itself for whoever replaced it. Written by the worker, read by `worker install`. */
import { readFile } from 'node:fs/promises';

export interface WorkerReady {
  readonly pid: number;
  /** The folder of the program that runs. */
  readonly program: string;
  /** Of the link to the gateway. */
  readonly link: 'connecting' | 'connected' | 'draining' | 'stopped';
  /** Every model is ready or has failed. */
  readonly settled: boolean;
  /** `name/version` of those that serve. */
  readonly ready: readonly string[];
}

/** null: none was written, or the worker has ended. */
export async function readReady(file: string): Promise<WorkerReady | null> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as WorkerReady;
  } catch {
    return null;
  }
}

/**
 * What the new worker still lacks of what the old one had; null: nothing. Nobody connects while the gateway is away, so the new
 * one needs a link only if the old one had one.
 */
export function lacks(before: WorkerReady | null, now: WorkerReady | null, program: string): string | null {
  if (now?.program !== program) return 'the new release has not started';
  if (!now.settled) return 'models are loading still';
  const lost = (before?.ready ?? []).filter((model) => !now.ready.includes(model));
  if (lost.length > 0) return `${lost.join(', ')} served before and does not now`;
  if (before?.link === 'connected' && now.link !== 'connected') return 'the gateway has not let it in';
  return null;
}
