/**
 * Who scales asks here. Owner of the looks of the last minutes, from which `policy.ts` says what is wanted, and of the latest whole
 * picture, which `/metrics` shows.
 *
 * The store is asked every five seconds, and less often where it takes long, whoever asks and however often.
 */
import type { Timer } from '../../clock.ts';
import { PosternError, toPosternError } from '../../errors.ts';
import type { Job } from '../../dispatch/job.ts';
import type { Logger } from '../../logger.ts';
import { createService, type Service } from '../../service.ts';
import type { Store } from '../../store/store.ts';
import type { GatewayLoad } from './load.ts';
import { createOwnLoad, type OwnLoadOptions } from './own-load.ts';
import { gatewaysWanted, workersWanted, type GatewayLook, type ModelLook, type Verdict } from './policy.ts';
import { BOUNDS, gatewayTargets, workerTargets, type Wishes } from './targets.ts';
import { gatewayLook, modelsOf, type MemberLoad, type ModelWork, type Whole } from './whole.ts';

export interface ScalingOptions extends OwnLoadOptions {
  readonly logger: Logger;
  readonly id: string;
  readonly state: () => MemberLoad['state'];
  /** Of all gateways, and of this process alone. */
  readonly queues: Readonly<Record<'shared' | 'own', Pick<Store, 'counts' | 'oldestWaiting'>>>;
  readonly knownModels: () => readonly string[];
  /** What the other gateways that live say of themselves. */
  readonly others: () => readonly MemberLoad[];
  /** Returns how to stop. */
  readonly onDecided: (observer: (job: Job) => void) => () => void;
}

export interface ModelVerdict extends Verdict {
  readonly model: string;
  readonly work: ModelWork;
}

export interface ScalingVerdict {
  readonly whole: Whole;
  readonly models: readonly ModelVerdict[];
  readonly gateways: Verdict;
}

export interface Scaling extends Service {
  /** What this gateway has to do, as of the latest look; null: there was none yet. */
  own(): GatewayLoad | null;
  /** At most some seconds old. Rejects with storage_failed when the store has not answered for longer. */
  whole(): Promise<Whole>;
  /** `model`: that one alone; throws model_not_found. */
  verdict(wishes: Wishes, model: string | null): Promise<ScalingVerdict>;
}

const SAMPLE_MS = 1_000;
export const LOOK_MS = 5_000;
/** A question that took a second is not asked again for twenty: it shall not be the store's work. */
const REST_FACTOR = 20;
/** The longest windows that anybody can ask for. */
const KEEP_MS = (BOUNDS.up_s.max + BOUNDS.down_s.max) * 1000 + LOOK_MS;
/** What is older than this is not told as if it were so now. */
const STALE_MS = 60_000;
/** However slow the store is, an answer must be there before the last one is too old. */
const MAX_REST_MS = STALE_MS / 2;

export function createScaling(options: ScalingOptions): Scaling {
  const { clock, logger, queues } = options;
  const own = createOwnLoad(options);
  const modelLooks = new Map<string, ModelLook[]>();
  const gatewayLooks: GatewayLook[] = [];
  let latest: Whole | null = null;
  let looking: Promise<void> | null = null;
  let restUntil = -Infinity;
  let failure: PosternError | null = null;
  let timers: Timer[] = [];
  let unfollow = (): void => undefined;

  async function ask(store: Pick<Store, 'counts' | 'oldestWaiting'>) {
    const [counts, oldest] = await Promise.all([store.counts(), store.oldestWaiting()]);
    return { counts, oldest };
  }

  async function look(): Promise<void> {
    const beganAt = clock.monotonic();
    const [shared, mine] = await Promise.all([ask(queues.shared), ask(queues.own)]);
    const at = clock.monotonic();
    restUntil = at + Math.min((at - beganAt) * REST_FACTOR, MAX_REST_MS);
    const self: MemberLoad = { id: options.id, state: options.state(), load: own.load(mine) };
    const members = [self, ...options.others().filter(({ id }) => id !== options.id)];
    latest = { at, seenAt: clock.now(), members, models: modelsOf(options.knownModels(), members, shared) };
    failure = null;
    keep(gatewayLooks, gatewayLook(latest));
    for (const [model, work] of latest.models) {
      let looks = modelLooks.get(model);
      if (looks === undefined) {
        if (work.workers + work.waitingRows === 0) continue;
        modelLooks.set(model, (looks = []));
      }
      const { workers, waitingRows, oldestMs, freeRows, capacityRows, busyRows, rowsPerS } = work;
      keep(looks, { at, workers, waitingRows, oldestMs, freeRows, capacityRows, busyRows, rowsPerS });
      if (looks.every((one) => one.workers + one.waitingRows === 0)) modelLooks.delete(model);
    }
    for (const model of [...modelLooks.keys()]) if (!latest.models.has(model)) modelLooks.delete(model);
  }

  function keep<T extends { readonly at: number }>(looks: T[], one: T): void {
    looks.push(one);
    while (looks[0]!.at < one.at - KEEP_MS) looks.shift();
  }

  /** One question at a time, for all who ask. */
  function refresh(): Promise<void> {
    looking ??= look()
      .catch((error: unknown) => {
        failure = toPosternError(error);
        logger.debug('no look at what waits', { error: failure.message });
      })
      .finally(() => (looking = null));
    return looking;
  }

  async function whole(): Promise<Whole> {
    if (latest === null) await refresh();
    if (latest !== null && clock.monotonic() - latest.at <= STALE_MS) return latest;
    throw new PosternError(
      'storage_failed',
      `what waits is not known: ${failure?.message ?? 'the store does not answer'}`,
      {
        retryAfterS: LOOK_MS / 1000,
      },
    );
  }

  const service = createService({
    start() {
      unfollow = options.onDecided((job) => own.decided(job));
      timers = [
        clock.every(SAMPLE_MS, () => own.sample()),
        clock.every(LOOK_MS, () => {
          if (clock.monotonic() >= restUntil) void refresh();
        }),
      ];
      return Promise.resolve();
    },
    async stop() {
      for (const timer of timers) timer.cancel();
      unfollow();
      await looking;
    },
  });

  return {
    ...service,
    own: () => latest?.members[0]?.load ?? null,
    whole,
    async verdict(wishes, model) {
      const now = await whole();
      if (model !== null && !now.models.has(model)) {
        throw new PosternError('model_not_found', `no worker has announced a model "${model}"`);
      }
      const [ofWorkers, ofGateways] = [workerTargets(wishes), gatewayTargets(wishes)];
      const asked = model === null ? [...now.models] : [[model, now.models.get(model)!] as const];
      return {
        whole: now,
        models: asked.map(([name, work]) => ({
          model: name,
          work,
          ...workersWanted(modelLooks.get(name) ?? [{ at: now.at, ...work }], ofWorkers),
        })),
        gateways: gatewaysWanted(gatewayLooks, ofGateways),
      };
    },
  };
}
