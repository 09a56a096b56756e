/** Who asks the gateway: they submit, wait, read and cancel, and tell the history what they were answered. */
import type { Job, JobId } from '../../src/dispatch/job.ts';
import type { Store } from '../../src/store/store.ts';
import type { Random } from '../support/random.ts';
import type { History } from './history.ts';
import type { Site } from './site.ts';
import type { ServedModel } from './versions.ts';
import type { Nature } from './worker.ts';
import type { World } from './world.ts';

export interface CallersOptions {
  readonly world: World;
  readonly random: Random;
  readonly site: Site;
  readonly history: History;
  readonly models: readonly ServedModel[];
  /** What is on the disk, at once. */
  readonly committed: Store;
  readonly isOver: () => boolean;
}

const NATURES: readonly Nature[] = [
  ...Array<Nature>(12).fill('good'),
  'good',
  'slow',
  'slow',
  'flaky',
  'bad',
  'poison',
];

export function startCallers(options: CallersOptions): { readonly accepted: readonly JobId[] } {
  const { world, random, site, history, models, committed, isOver } = options;
  const accepted: JobId[] = [];
  const byKey = new Map<string, JobId>();
  const failed = (what: string) => (error: Error) => world.trace(`${what}: ${error.message}`);

  function submitOne(): void {
    const model = random.pick(models);
    const nature = random.pick(NATURES);
    const deadlineAt = random.chance(0.15) ? world.clock.now() + random.int(1, 40_000) : null;
    const key = random.chance(0.2) ? `key-${random.int(1, 30)}` : null;
    // A key belongs to one body here: what differs with it is tested elsewhere.
    const body = key === null ? nature : 'good';
    const request = {
      model: model.name,
      version: key === null && random.chance(0.2) ? model.version : null,
      input: { contentType: 'text/plain', bytes: Buffer.from(body) },
      parameters: {},
      priority: key === null ? random.pick([0, 0, 0, 5, -5]) : 0,
      caller: random.pick(['anna', 'ben']),
      deadlineAt,
      idempotencyKey: key === null ? null : `${key} ${model.name}`,
    };
    site.call((engine) => void engine.submit(request).then((job) => onAccepted(job, body), failed('refused')));
  }

  function onAccepted(job: Job, nature: Nature): void {
    world.trace(`accepted ${job.id} ${job.model} ${nature}`);
    history.accepted(job, nature);
    history.read(job, world.latestWall);
    void committed.get(job.id).then((kept) => {
      if (kept === null) history.violation(`${job.id} was answered before it was committed`);
    });
    if (job.idempotencyKey !== null) {
      const of = `${job.caller} ${job.idempotencyKey}`;
      const earlier = byKey.get(of);
      if (earlier !== undefined && earlier !== job.id) history.violation(`${of} made both ${earlier} and ${job.id}`);
      byKey.set(of, job.id);
    }
    accepted.push(job.id);
    if (random.chance(0.5)) waitFor(job.id);
    if (random.chance(0.1)) world.after(random.next() * 3_000, () => cancelOne(job.id));
  }

  /** What was accepted is there for everybody who asks, and as it was. */
  function saw(id: JobId, how: string): (job: Job | null) => void {
    const known = history.asks(id);
    return (job) => {
      if (job) history.read(job, world.latestWall, known);
      else history.violation(`${id} was accepted, and is unknown to a ${how}`);
    };
  }

  function waitFor(id: JobId): void {
    const timeoutMs = random.pick([100, 5_000, 60_000]);
    site.call((engine) => void engine.wait(id, timeoutMs).then(saw(id, 'wait'), failed('wait')));
  }

  function cancelOne(id: JobId): void {
    site.call((engine) => {
      world.trace(`cancel ${id}`);
      history.cancelAsked(id);
      const see = saw(id, 'cancel');
      void engine.cancel(id).then((job) => {
        see(job);
        history.cancelAnswered(id);
      }, failed('cancel'));
    });
  }

  function readOne(): void {
    if (accepted.length === 0) return;
    const id = random.pick(accepted);
    site.call((engine) => void engine.get(id).then(saw(id, 'read'), failed('read')));
  }

  const callMs = random.pick([100, 300, 1_500]);
  function callAgain(): void {
    if (isOver()) return;
    const many = random.chance(0.04) ? 25 : 1;
    for (let i = 0; i < many; i += 1) submitOne();
    if (random.chance(0.5)) readOne();
    world.after(random.next() * 2 * callMs, callAgain);
  }
  world.after(0, callAgain);
  return { accepted };
}
