/** How dangerous what is on the photos may be: the guide's words about each label, weighed with the scores of all of them. */
import type { Entry } from '../guide/format.ts';
import type { Guide } from '../guide/guide.ts';
import type { Cause, Danger, Scored } from './outcome.ts';

/** Likely enough that its level counts. */
const LIKELY = 0.1;
/** Worth a line among the causes. */
const WORTH_TELLING = 0.02;
const MAX_CAUSES = 5;

interface Group {
  readonly id: string | null;
  /** The likeliest comes first. */
  readonly entry: Entry;
  probability: number;
}

/** null: the guide speaks of no danger. */
export function dangerOf(guide: Guide, scores: readonly Scored[], unsure: boolean): Danger | null {
  if (guide.levels.length === 0) return null;
  const groups = groupsOf(guide, scores);
  const dangerous = groups.filter(({ entry }) => entry.danger?.dangerous === true);
  const probability = dangerous.reduce((sum, group) => sum + group.probability, 0);
  // The threshold is in the guide, because what it should be depends on the model and on what is at stake.
  const isDangerous = probability >= guide.dangerousFrom;
  return {
    verdict: isDangerous ? 'dangerous' : unsure ? 'unknown' : 'none',
    probability,
    level: levelOf(guide, groups),
    causes: dangerous
      .filter((group) => group.probability >= WORTH_TELLING)
      .slice(0, MAX_CAUSES)
      .map(({ id, entry, probability: p }): Cause => ({
        group: id,
        entry: entry.id,
        level: entry.danger?.level ?? null,
        probability: p,
      })),
  };
}

/** Likeliest first. */
function groupsOf(guide: Guide, scores: readonly Scored[]): Group[] {
  const groups = new Map<string, Group>();
  for (const { label, score } of scores) {
    const entry = guide.get(label);
    if (entry === null) continue;
    const id = entry.verdict_group;
    const key = id === null ? `entry ${entry.id}` : `group ${id}`;
    const group = groups.get(key);
    if (group) group.probability += score;
    else groups.set(key, { id, entry, probability: score });
  }
  return [...groups.values()].sort((a, b) => b.probability - a.probability);
}

function levelOf({ levels }: Guide, groups: readonly Group[]): string | null {
  const likely = groups.filter(({ probability }, index) => index === 0 || probability >= LIKELY);
  const found = new Set(likely.flatMap(({ entry }) => entry.danger?.level ?? []));
  // A guide lists its levels from the most severe on.
  return levels.find(({ id }) => found.has(id))?.id ?? null;
}
