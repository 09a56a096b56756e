/**
 * Those who ask: Poisson arrivals over models and keys, each at some gateway that the load balancer believes to be well. Who is answered
 * with an error, or not at all, asks again at another one.
 */
import type { NewJob } from '../../../src/dispatch/job.ts';
import type { Installation } from './installation.ts';
import type { Model } from './shape.ts';

/** How old the load balancer's view may be: two checks of five seconds. */
const VIEW_MS = 10_000;
const AGAIN_MS = 1_000;
const LARGE_PART = 0.1;
const NO_BYTES = new Uint8Array(0);

export interface Callers {
  stop(): void;
  readonly failedTries: number;
}

export function startCallers(world: Installation): Callers {
  const { timeline, catalogue, options } = world;
  const random = timeline.random.fork();
  const largeRows = options.largestRows;
  const rowsPerJob = 1 + LARGE_PART * (largeRows - 1);
  const jobsPerMs = catalogue.models.map(({ rowsPerSecond }) => rowsPerSecond / rowsPerJob / 1_000);
  const allPerMs = jobsPerMs.reduce((a, b) => a + b, 0);
  let view = world.serving();
  let isOver = false;
  let count = 0;
  let failedTries = 0;

  const looking = timeline.clock.every(VIEW_MS, () => (view = world.serving()));

  function drawModel(): Model {
    let left = random.next() * allPerMs;
    for (let n = 0; n < jobsPerMs.length; n += 1) if ((left -= jobsPerMs[n]!) <= 0) return catalogue.models[n]!;
    return catalogue.models[0]!;
  }

  function drawKey({ keys }: Model): string {
    let left = random.next();
    for (const { name, part } of keys) if ((left -= part) <= 0) return name;
    return keys[0]!.name;
  }

  function arrive(): void {
    if (isOver) return;
    timeline.after(-Math.log(1 - random.next()) / allPerMs, arrive);
    count += 1;
    const model = drawModel();
    const caller = drawKey(model);
    const rows = random.chance(LARGE_PART) ? largeRows : 1;
    world.measures.asked(model, caller, rows);
    ask({
      id: `job-${count}`,
      model: model.name,
      version: null,
      input: { contentType: 'x', bytes: NO_BYTES },
      parameters: { ms: options.jobMs * (0.5 + random.next()) },
      rows,
      priority: 0,
      caller,
      deadlineAt: null,
      idempotencyKey: null,
      webhook: null,
    });
  }

  function ask(job: NewJob): void {
    const gateway = world.at(random.pick(view));
    if (gateway?.isUp !== true || !gateway.isServing) {
      failedTries += 1;
      timeline.after(AGAIN_MS, () => ask(job));
      return;
    }
    gateway.submit(job).then(
      (outcome) => {
        if (outcome.type === 'refused') world.measures.refusedJob(outcome.error.code);
      },
      () => {
        failedTries += 1;
      },
    );
  }

  arrive();
  return {
    stop() {
      isOver = true;
      looking.cancel();
    },
    get failedTries() {
      return failedTries;
    },
  };
}
