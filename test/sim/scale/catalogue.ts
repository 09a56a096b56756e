/** Who is there and what they want: models, workers with their rows and distances, API keys with their appetite. */
import type { Random } from '../../support/random.ts';
import type { Catalogue, Model, Options, ServedModel, WorkerOptions } from './shape.ts';

/** More is asked of these models than their workers can do: only there it shows who is served before whom. */
const HOT_MODELS = 2;
const HOT_LOAD = 1.15;
const KEYS_PER_MODEL = 20;
/** One key asks for ten times what the others do. */
const GREED = 10;
const CAPACITIES = [4, 8] as const;
const MODELS_PER_WORKER = 2;
/** Internet: from the same city to another continent. */
const ONE_WAY_MS = [2, 40] as const;
/** Workers behind one address: laboratories. The first has a tenth of all. */
const SITES_PER_WORKER = 0.1;

export function createCatalogue(options: Options, random: Random): Catalogue {
  const names = Array.from({ length: options.models }, (_, n) => `model-${n}`);
  // Zipf with exponent 0.5: the first model has six times the workers of the fortieth.
  const weights = names.map((_, n) => 1 / Math.sqrt(n + 1));
  const sum = weights.reduce((a, b) => a + b, 0);
  const draw = (): number => {
    let left = random.next() * sum;
    for (let n = 0; n < weights.length; n += 1) if ((left -= weights[n]!) <= 0) return n;
    return weights.length - 1;
  };
  const sites = Math.max(1, Math.floor(options.workers * SITES_PER_WORKER));
  const rowsOf = names.map(() => 0);

  const workers = Array.from({ length: options.workers }, (_, n): WorkerOptions => {
    const models = new Set<number>([n % options.models]);
    while (models.size < Math.min(MODELS_PER_WORKER, options.models)) models.add(draw());
    const served = [...models].map((model): ServedModel => {
      const rows = Math.max(options.largestRows, random.pick(CAPACITIES));
      rowsOf[model]! += rows;
      return { name: names[model]!, rows, largestRows: options.largestRows };
    });
    return {
      name: `worker-${n}`,
      region: n % options.regions,
      oneWayMs: ONE_WAY_MS[0] + random.next() * (ONE_WAY_MS[1] - ONE_WAY_MS[0]),
      internetAddress: `10.0.${n < options.workers / 10 ? 0 : random.int(1, sites)}.1`,
      models: served,
      random: random.fork(),
    };
  });

  const models = names.map((name, n): Model => {
    const isHot = n < HOT_MODELS;
    const rows = rowsOf[n]!;
    const appetites = Array.from({ length: KEYS_PER_MODEL }, (_, k) => (k === 0 ? GREED : 0.5 + random.next()));
    const all = appetites.reduce((a, b) => a + b, 0);
    return {
      name,
      rows,
      isHot,
      rowsPerSecond: ((isHot ? HOT_LOAD : options.load) * rows * 1_000) / options.jobMs,
      keys: appetites.map((appetite, k) => ({ name: `key-${(n * 7 + k * 13) % options.keys}`, part: appetite / all })),
    };
  });
  return { workers, models };
}
