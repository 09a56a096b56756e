/**
 * What one gateway says of its work, to itself and, as JSON in its note of membership, to the others. What others say may be of another
 * release: whatever is not a number where one is expected makes the whole of it void.
 */
import { z } from 'zod';

/** A worker that has dialled several gateways counts once, by its name. Beyond so many of one model their number alone is told. */
export const MAX_NAMES = 200;
/** Of one gateway's load: those with the most work. */
export const MAX_MODELS = 256;

const figure = z.number().min(0);
const MODEL = z.object({
  workers: z.union([z.array(z.string().max(128)).max(MAX_NAMES), z.int().min(0)]),
  freeRows: figure,
  capacityRows: figure,
  /** Mean of the last minute. */
  busyRows: figure,
  rowsPerS: figure,
  /** Of work that is in this gateway's memory alone: its callers are on the line. */
  waitingJobs: figure,
  waitingRows: figure,
  inFlightJobs: figure,
  oldestMs: figure,
});
const LOAD = z.object({
  /** Being answered. */
  requests: figure,
  /** Of callers. */
  connections: figure,
  /** Of workers. */
  sessions: figure,
  /** Share of the time in which the event loop computed. */
  loop: figure.max(1),
  /** Cores of processor that the process took, all threads together. */
  cores: figure,
  models: z.record(z.string().max(256), MODEL),
});

export type ModelLoad = Readonly<z.infer<typeof MODEL>>;
export type GatewayLoad = Readonly<z.infer<typeof LOAD>>;

export function parseLoad(value: unknown): GatewayLoad | null {
  const parsed = LOAD.safeParse(value);
  return parsed.success ? parsed.data : null;
}

/** As JSON of at most so many characters: workers by their number alone where their names are too long; null: not even so. */
export function shortened(load: GatewayLoad, maxChars: number): GatewayLoad | null {
  if (JSON.stringify(load).length <= maxChars) return load;
  const models = Object.fromEntries(
    Object.entries(load.models).map(([name, one]) => [
      name,
      { ...one, workers: typeof one.workers === 'number' ? one.workers : one.workers.length },
    ]),
  );
  const counted = { ...load, models };
  return JSON.stringify(counted).length <= maxChars ? counted : null;
}
