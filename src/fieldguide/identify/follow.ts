/**
 * Brings identifications to their ends: a prediction for each photo, its result noted, and the outcome decided once all are there. Owner
 * of which identifications are open in this process, and of the news about them.
 *
 * `reconcile` compares what the records say with what the engine says and does the next steps, whatever was interrupted before: after
 * a crash, a restart, a lost prediction, a gateway that died. Each step is a guarded write, so that two gateways, or two
 * looks at once, cannot do it twice.
 */
import type { Timer } from '../../clock.ts';
import type { AppHost } from '../../gateway/ports.ts';
import { toPosternError } from '../../errors.ts';
import { createService, type Service } from '../../service.ts';
import type { Guide } from '../guide/guide.ts';
import type { Photos } from '../photos/photos.ts';
import type { Identification, Photo, Records } from '../records/records.ts';
import { decide, findOf } from './decide.ts';
import { failure, photoResultOf, type Job } from './photo-result.ts';

export interface Follow extends Service {
  /** Looks at it now. `contents`: bytes of its photos that are at hand. */
  reconcile(id: string, contents?: ReadonlyMap<string, Uint8Array>): Promise<void>;
  /** Calls `listener` at each news of it; returns what takes it off. */
  listen(id: string, listener: () => void): () => void;
  /** It is gone. */
  forget(id: string): void;
}

export interface FollowOptions {
  readonly host: AppHost;
  readonly guides: ReadonlyMap<string, Guide>;
  readonly records: Records;
  readonly photos: Photos;
}

/** What the engine does not tell by itself: jobs that another gateway decided, or that are to be submitted again. */
const LOOK_MS = 1_000;
/** Per look: some 100 ms of questions to the store. Where there are more, they take turns. */
const MAX_LOOKED_AT = 200;
/** Identifications that a gateway which died left open. */
const SEARCH_MS = 15_000;
const SEARCH_PAGE = 200;
/** All labels: the verdict sums over every one. */
const TOP_K = 1_000;

/** Not now, maybe later: no worker ever announced the model, the queue is full, the gateway drains, the disk is full. */
const LATER: ReadonlySet<string> = new Set([
  ...['model_not_found', 'queue_full', 'quota_exceeded', 'draining', 'overloaded'],
  ...['storage_full', 'storage_failed', 'no_worker', 'internal'],
]);

interface Turn {
  readonly over: Promise<void>;
  next: Promise<void> | undefined;
}

/** Each owner is a caller of its own, so that one with many photos does not hold up the others. */
export const callerOf = (owner: string): string => `guide-${owner.slice(0, 16)}`;

export function createFollow({ host, guides, records, photos }: FollowOptions): Follow {
  const { predictions, clock, logger } = host;
  const open = new Set<string>();
  /** Undecided predictions of open identifications. */
  const jobs = new Map<string, string>();
  const turns = new Map<string, Turn>();
  const listeners = new Map<string, Set<() => void>>();
  let timers: Timer[] = [];
  let off: () => void = () => undefined;
  let looking = false;
  let stopped = false;

  function news(id: string): void {
    for (const listener of [...(listeners.get(id) ?? [])]) listener();
  }

  function close(id: string): void {
    open.delete(id);
    for (const [job, of] of jobs) if (of === id) jobs.delete(job);
  }

  async function bytesOf(photo: Photo, contents?: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array | null> {
    if (photo.blob === null) return null;
    return contents?.get(photo.blob) ?? photos.read(photo.blob);
  }

  /** Makes the prediction of a photo, in place of one that nobody knows any more. */
  async function submit(
    one: Identification,
    photo: Photo,
    guide: Guide,
    contents?: ReadonlyMap<string, Uint8Array>,
  ): Promise<void> {
    const { id, round, owner } = one;
    const bytes = await bytesOf(photo, contents);
    if (bytes === null) {
      await records.result(id, round, photo.n, failure('storage_failed', 'the photo is not there any more', false));
      return;
    }
    let job: Job;
    try {
      job = await predictions.submit({
        model: guide.model,
        version: null,
        input: { contentType: 'image/jpeg', bytes },
        parameters: { top_k: TOP_K },
        priority: 0,
        caller: callerOf(owner),
        deadlineAt: null,
        // A crash between this and the next line makes no second prediction.
        idempotencyKey: `${id}.${round}.${photo.n}`,
      });
    } catch (thrown) {
      const error = toPosternError(thrown);
      if (LATER.has(error.code)) return;
      await records.result(id, round, photo.n, failure(error.code, error.message));
      return;
    }
    // Before anything else: it may be decided at any moment, and that is said once.
    jobs.set(job.id, id);
    if (await records.assign(id, round, photo.n, job.id, photo.job)) {
      // The same prediction as before a crash, by its idempotency key: it may be over already.
      const result = photoResultOf(job);
      if (result !== null) await records.result(id, round, photo.n, result);
      return;
    }
    // Removed, or taken further by another gateway, which has the same prediction by its idempotency key.
    if ((await records.get(id)) !== null) return;
    jobs.delete(job.id);
    await predictions.cancel(job.id);
    await host.dropFailedInputs([job.id]);
  }

  async function step(id: string, contents?: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const one = await records.get(id);
    if (one === null || one.state === 'decided') {
      close(id);
      news(id);
      return;
    }
    if (one.state === 'arriving') return;
    open.add(id);
    const guide = guides.get(one.guide);
    // The guide may come back with the next start.
    if (guide === undefined) return;
    for (const photo of one.photos) {
      if (photo.result !== null) continue;
      const job = photo.job === null ? null : await predictions.get(photo.job);
      if (job === null) {
        await submit(one, photo, guide, contents);
        continue;
      }
      const result = photoResultOf(job);
      if (result === null) jobs.set(job.id, id);
      else {
        jobs.delete(job.id);
        await records.result(id, one.round, photo.n, result);
      }
    }
    await decideIfComplete(id, one.round, guide);
  }

  async function decideIfComplete(id: string, round: number, guide: Guide): Promise<void> {
    const now = await records.get(id);
    if (now?.state !== 'open' || now.round !== round) return;
    const results = now.photos.flatMap(({ result }) => result ?? []);
    if (results.length < now.photos.length) return;
    const outcome = decide(guide, results);
    await records.decide(id, round, outcome, findOf(outcome, null), clock.now());
    close(id);
    news(id);
  }

  /** One look at a time; whoever comes while one runs shares the next, which sees all that was before it. */
  function reconcile(id: string, contents?: ReadonlyMap<string, Uint8Array>): Promise<void> {
    if (stopped) return Promise.resolve();
    const turn = turns.get(id);
    if (turn === undefined) return begin(id, contents);
    turn.next ??= turn.over.then(() => (stopped ? undefined : begin(id)));
    return turn.next;
  }

  function begin(id: string, contents?: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const work = step(id, contents);
    const turn: Turn = { over: work.catch(() => undefined), next: undefined };
    turns.set(id, turn);
    void turn.over.then(() => {
      if (turns.get(id) === turn) turns.delete(id);
    });
    return work;
  }

  const quietly = (what: string, work: Promise<void>): void => {
    work.catch((error: unknown) => {
      if (!stopped)
        logger.warn('an identification could not be taken further', { what, error: toPosternError(error).message });
    });
  };

  async function look(): Promise<void> {
    if (looking) return;
    looking = true;
    try {
      for (const id of [...open].slice(0, MAX_LOOKED_AT)) {
        if (stopped) return;
        // To the end of the line.
        if (open.delete(id)) open.add(id);
        if (!turns.has(id)) await reconcile(id);
      }
    } finally {
      looking = false;
    }
  }

  async function search(): Promise<void> {
    for (let after: string | null = null; !stopped;) {
      const page: Identification[] = await records.undecided(SEARCH_PAGE, after);
      for (const { id } of page) open.add(id);
      if (page.length < SEARCH_PAGE) return;
      after = page.at(-1)!.id;
    }
  }

  return {
    ...createService({
      async start() {
        off = host.onDecided((job) => {
          const id = jobs.get(job.id);
          if (id !== undefined) quietly('decided', reconcile(id));
        });
        await search();
        timers = [
          clock.every(LOOK_MS, () => quietly('look', look())),
          clock.every(SEARCH_MS, () => quietly('search', search())),
        ];
      },
      async stop() {
        stopped = true;
        off();
        for (const timer of timers) timer.cancel();
        await Promise.all([...turns.values()].map(({ over }) => over));
        for (const id of [...listeners.keys()]) news(id);
      },
    }),
    reconcile,
    listen(id, listener) {
      const of = listeners.get(id) ?? new Set();
      listeners.set(id, of.add(listener));
      return () => {
        of.delete(listener);
        if (of.size === 0 && listeners.get(id) === of) listeners.delete(id);
      };
    },
    forget(id) {
      close(id);
      news(id);
    },
  };
}
