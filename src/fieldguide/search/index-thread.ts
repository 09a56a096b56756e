/** Makes the index of a large guide beside the gateway's own thread, hands its columns over, and ends. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Named } from './names.ts';
import { indexNames } from './search.ts';

const index = indexNames(workerData as readonly Named[]);
const columns = [index.names, index.inner, index.initials];
parentPort?.postMessage(
  index,
  columns.flatMap(({ pool, starts, entries, bases }) => [pool, starts, entries, bases].map(({ buffer }) => buffer)),
);
