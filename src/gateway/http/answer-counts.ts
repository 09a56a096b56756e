/** How many requests were answered how, over all routes. */
import type { AnswerCounts } from '../activity/activity.ts';
import type { RouteCounts } from './metrics.ts';

/** Without what the console asks for itself. */
export function countAnswers(routes: readonly RouteCounts[]): AnswerCounts {
  const sum = { all: 0, clientErrors: 0, serverErrors: 0 };
  for (const { route, counts } of routes) {
    if (route.startsWith('/v1/admin/')) continue;
    for (const [status, count] of counts) {
      sum.all += count;
      if (status >= 500) sum.serverErrors += count;
      else if (status >= 400) sum.clientErrors += count;
    }
  }
  return sum;
}
