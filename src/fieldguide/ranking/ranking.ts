/**
 * What is found most often. Counted now and then into snapshots, of which pages are cut: a list that changed between its first and its
 * second page would show things twice or never. Owner of the views that are not written yet.
 */
import type { Timer } from '../../clock.ts';
import type { AppHost } from '../../gateway/ports.ts';
import { PosternError, toPosternError } from '../../errors.ts';
import { createService, type Service } from '../../service.ts';
import type { Guide } from '../guide/guide.ts';
import type { OwnerId, Records, Sighting, Snapshot } from '../records/records.ts';

export const WINDOWS = ['day', 'week', 'all'] as const;
export type Window = (typeof WINDOWS)[number];

const DAY_MS = 86_400_000;
const WINDOW_MS: Readonly<Record<Window, number | null>> = { day: DAY_MS, week: 7 * DAY_MS, all: null };
const PERIOD_MS = 60_000;
/** What has not changed is noted anew after this long, so that a cursor's hour is never cut short. */
const RENEW_MS = 3_600_000;
const KEPT_MS = 2 * 3_600_000;
/** One commit for many views. When it fails, they were not counted. */
const FLUSH_MS = 2_000;
const MAX_BUFFERED = 2_000;

export interface Ranked {
  readonly rank: number;
  readonly entry: string;
  readonly finds: number;
  readonly views: number;
}

export interface RankingPage {
  readonly snapshot: string;
  /** Epoch ms. */
  readonly madeAt: number;
  readonly total: number;
  readonly items: readonly Ranked[];
}

export interface Ranking extends Service {
  /** `from`: a snapshot and how many of it were shown. Throws cursor_expired. */
  page(guide: Guide, window: Window, limit: number, from: readonly [string, number] | null): Promise<RankingPage>;
  viewed(guide: Guide, entry: string, visitor: OwnerId): void;
  /** Writes what was viewed, and counts anew. */
  refresh(): Promise<void>;
}

export interface RankingOptions {
  readonly host: Pick<AppHost, 'clock' | 'logger'>;
  readonly guides: ReadonlyMap<string, Guide>;
  readonly records: Records;
}

/** As it is stored: entry, finds, views. */
type Item = readonly [string, number, number];

export function createRanking({ host, guides, records }: RankingOptions): Ranking {
  const { clock, logger } = host;
  let views = new Map<string, Sighting>();
  let timers: Timer[] = [];

  async function count(guide: Guide, window: Window): Promise<Item[]> {
    const length = WINDOW_MS[window];
    const since = length === null ? null : clock.now() - length;
    const finds = await records.counts(guide.id, 'find', since);
    const viewed = new Map((await records.counts(guide.id, 'view', since)).map(({ entry, count: of }) => [entry, of]));
    return finds
      .filter(({ entry }) => guide.get(entry) !== null)
      .map(({ entry, count: of }): Item => [entry, of, viewed.get(entry) ?? 0])
      .sort((a, b) => b[1] - a[1] || b[2] - a[2] || (a[0] < b[0] ? -1 : 1));
  }

  /** The same minute has the same id, whichever gateway counts. */
  async function snap(guide: Guide, window: Window): Promise<Snapshot> {
    const madeAt = clock.now();
    const items = JSON.stringify(await count(guide, window));
    const before = await records.snapshot(guide.id, window, null);
    if (before !== null && before.items === items && madeAt - before.madeAt < RENEW_MS) return before;
    const snapshot = { id: `${window}-${Math.floor(madeAt / PERIOD_MS).toString(36)}-${guide.id}`, madeAt, items };
    await records.keepSnapshot(guide.id, window, snapshot, madeAt - KEPT_MS);
    return (await records.snapshot(guide.id, window, snapshot.id)) ?? snapshot;
  }

  async function flush(): Promise<void> {
    if (views.size === 0) return;
    const taken = [...views.values()];
    views = new Map();
    await records.sight(taken);
  }

  async function refresh(): Promise<void> {
    await flush();
    for (const guide of guides.values()) for (const window of WINDOWS) await snap(guide, window);
  }

  const quietly = (what: string, work: Promise<void>): void => {
    work.catch((error: unknown) => {
      logger.warn('the ranking could not be kept', { what, error: toPosternError(error).message });
    });
  };

  return {
    ...createService({
      start() {
        timers = [
          clock.every(FLUSH_MS, () => quietly('views', flush())),
          clock.every(PERIOD_MS, () => quietly('snapshots', refresh())),
        ];
        return Promise.resolve();
      },
      async stop() {
        for (const timer of timers) timer.cancel();
        await flush().catch(() => undefined);
      },
    }),
    async page(guide, window, limit, from) {
      const snapshot =
        from === null
          ? ((await records.snapshot(guide.id, window, null)) ?? (await snap(guide, window)))
          : await records.snapshot(guide.id, window, from[0]);
      if (snapshot === null) {
        throw new PosternError('cursor_expired', 'The ranking has been counted anew since. Begin again.');
      }
      const shown = from?.[1] ?? 0;
      const all = JSON.parse(snapshot.items) as Item[];
      const items = all.slice(shown, shown + limit).map(([entry, finds, of], index) => {
        return { rank: shown + index + 1, entry, finds, views: of };
      });
      return { snapshot: snapshot.id, madeAt: snapshot.madeAt, total: all.length, items };
    },
    viewed(guide, entry, visitor) {
      if (views.size >= MAX_BUFFERED) return;
      const sighting: Sighting = { guide: guide.id, kind: 'view', entry, visitor, at: clock.now() };
      views.set(`${guide.id} ${entry} ${visitor}`, sighting);
    },
    refresh,
  };
}
