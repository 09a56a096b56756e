/** A search over the names of a guide, made where it disturbs nobody: a large index takes seconds. */
import { Worker } from 'node:worker_threads';
import type { Named } from './names.ts';
import { createSearch, searchIn, type Search, type SearchIndex } from './search.ts';

/** Some 100 ms on a slow machine. */
const MAX_HERE = 1_000;

export function openSearch(entries: readonly Named[]): Promise<Search> {
  if (entries.length <= MAX_HERE) return Promise.resolve(createSearch(entries));
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL('./index-thread.ts', import.meta.url), { workerData: entries });
    thread.once('message', (index: SearchIndex) => resolve(searchIn(index)));
    thread.once('error', reject);
    thread.once('exit', (code) => reject(new Error(`the thread that indexes names ended with ${code}`)));
    // A gateway that is asked to end meanwhile does.
    thread.unref();
  });
}
