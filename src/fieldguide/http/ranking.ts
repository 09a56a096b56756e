/** `/api/guides/{guide}/ranking`, and the views that count for it. */
import { PosternError } from '../../errors.ts';
import type { AppDesk } from '../../gateway/ports.ts';
import type { Route } from '../../gateway/http/route.ts';
import type { Guide } from '../guide/guide.ts';
import { SMALL_WRITES } from '../identify/limits.ts';
import { WINDOWS, type Ranking } from '../ranking/ranking.ts';
import { cached, done, get, guideFinder, post } from './answers.ts';
import { rankingCursor } from './cursor.ts';
import type { Owners } from './owner.ts';
import { choiceOf, limitOf, refuseOthers, single } from './parameters.ts';
import { moment, summaryOf } from './render.ts';

export interface RankingRoutesOptions {
  readonly desk: AppDesk;
  readonly guides: ReadonlyMap<string, Guide>;
  readonly owners: Owners;
  readonly ranking: Ranking;
}

const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 100;
/** A new snapshot is made each minute. */
const MAX_AGE_S = 15;

export function rankingRoutes({ desk, guides, owners, ranking }: RankingRoutesOptions): Route[] {
  const guideOf = guideFinder(guides);
  const writes = desk.throttle(SMALL_WRITES);

  return [
    get('/api/guides/:guide/ranking', async (call) => {
      refuseOthers(call.query, 'window', 'limit', 'cursor');
      const guide = guideOf(call);
      const window = choiceOf(call.query, 'window', WINDOWS, 'week');
      const limit = limitOf(call.query, DEFAULT_LIMIT, MAX_LIMIT);
      const cursor = single(call.query, 'cursor');
      const from = cursor === undefined ? null : rankingCursor.read(cursor);
      const { snapshot, madeAt, total, items } = await ranking.page(guide, window, limit, from);
      const shown = (from?.[1] ?? 0) + items.length;
      const value = {
        window,
        made_at: moment(madeAt),
        total,
        items: items.flatMap(({ rank, entry, finds, views }) => {
          const found = guide.get(entry);
          return found === null ? [] : [{ rank, entry: summaryOf(found, guide), finds, views }];
        }),
        next: shown < total ? rankingCursor.write([snapshot, shown]) : null,
      };
      return cached(call, value, MAX_AGE_S);
    }),
    post('/api/guides/:guide/entries/:entry/views', async (call) => {
      refuseOthers(call.query);
      const guide = guideOf(call);
      const entry = guide.get(call.params.entry ?? '');
      if (entry === null) throw new PosternError('entry_not_found', `The guide ${guide.id} has no such entry.`);
      if (writes.take(desk.addressGroup(call.request)) > 0) return done();
      try {
        const { owner, headers } = await owners.require(call);
        ranking.viewed(guide, entry.id, owner);
        return done(headers);
      } catch (error) {
        // Whoever reads a page need not know that it was not counted.
        if (error instanceof PosternError && error.code === 'rate_limited') return done();
        throw error;
      }
    }),
  ];
}
