/**
 * Several photos into one answer: which mean? Every photo of the test split of the plants once through a gateway and a worker, with all labels;
 * then groups of one to four photos of one class, drawn again and again with a fixed seed, each decided as the field guide decides
 * it, by the geometric mean, the arithmetic mean and the maximum of their scores.
 *
 *   npm run bench:combine -- <manifest.csv with photos or photos.tar beside it> [draws, default 20]
 *
 * Photos of one class are of different plants: what photos of one plant share, and a mean cannot mend, these do not. So the gain over one
 * photo is the most that can be hoped for; the methods are compared on equal terms.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readPhotoList } from '../src/cli/eval/manifest.ts';
import { openPhotos } from '../src/cli/eval/photos.ts';
import { createClient } from '../src/client/client.ts';
import { isClassification } from '../src/client/shapes.ts';
import { forEachConcurrently } from '../src/concurrency.ts';
import type { Guide } from '../src/fieldguide/guide/guide.ts';
import { loadGuide } from '../src/fieldguide/guide/load.ts';
import { combine } from '../src/fieldguide/identify/combine.ts';
import { dangerOf } from '../src/fieldguide/identify/danger.ts';
import type { PhotoScores, Scored } from '../src/fieldguide/identify/outcome.ts';
import { PosternSystem, untilModel } from '../test/support/postern.ts';
import { createRandom } from '../test/support/random.ts';
import { atLeast, atMost, record } from './support/record.ts';

const SIZES = [1, 2, 3, 4] as const;
const CONCURRENCY = 16;
const MODEL = new URL('../models/plants/1/', import.meta.url);
const GUIDE = fileURLToPath(new URL('../guides/plants', import.meta.url));

type Method = (photos: readonly PhotoScores[]) => readonly Scored[];

/** Of each label over the photos, made to sum to one with what is left for "none of them". */
const by =
  (of: (values: readonly number[]) => number): Method =>
  (photos) => {
    const tables = photos.map(({ scores }) => new Map(scores.map(({ label, score }) => [label, score])));
    const labels = [...new Set(tables.flatMap((table) => [...table.keys()]))];
    const raw = labels.map((label) => ({ label, score: of(tables.map((table) => table.get(label) ?? 0)) }));
    const sum = raw.reduce((total, { score }) => total + score, of(photos.map(({ rejectScore }) => rejectScore ?? 0)));
    return raw.map(({ label, score }) => ({ label, score: score / sum })).sort((a, b) => b.score - a.score);
  };

const METHODS: Readonly<Record<string, Method>> = {
  geometric: (photos) => combine(photos).scores,
  arithmetic: by((values) => values.reduce((sum, value) => sum + value, 0) / values.length),
  maximum: by((values) => Math.max(...values)),
};

interface Answered {
  readonly entry: string;
  readonly dangerous: boolean;
  readonly result: PhotoScores;
}

/** One group, decided. `danger`: the probability that the verdict goes by; 0 where nothing was accepted. */
interface Decided {
  readonly top1: boolean;
  readonly top5: boolean;
  readonly dangerous: boolean;
  readonly danger: number;
  /** −ln of the score of the right entry. */
  readonly loss: number;
}

function decideGroup(guide: Guide, group: readonly Answered[], method: Method): Decided {
  const [{ entry, dangerous }] = group as [Answered];
  // As decide() does: rejected photos are left out as long as there is another one.
  const used = group.map(({ result }) => result).filter(({ rejected }) => !rejected);
  if (used.length === 0) return { top1: false, top5: false, dangerous, danger: 0, loss: -Math.log(1e-6) };
  const scores = method(used);
  const sums = new Map<string, number>();
  for (const { label, score } of scores) {
    const id = guide.get(label)?.id;
    if (id !== undefined) sums.set(id, (sums.get(id) ?? 0) + score);
  }
  const best = [...sums].sort((a, b) => b[1] - a[1]).map(([id]) => id);
  return {
    top1: best[0] === entry,
    top5: best.slice(0, 5).includes(entry),
    dangerous,
    danger: dangerOf(guide, scores, false)?.probability ?? 0,
    loss: -Math.log(Math.max(sums.get(entry) ?? 0, 1e-6)),
  };
}

const share = <T>(list: readonly T[], holds: (one: T) => boolean): number => list.filter(holds).length / list.length;

/** `falseAlarmsAt`: share of false alarms at which the missed ones are compared, whatever threshold that takes. */
function figuresOf(decided: readonly Decided[], threshold: number, falseAlarmsAt: number) {
  const dangerous = decided.filter((one) => one.dangerous);
  const harmless = decided.filter((one) => !one.dangerous);
  const alarms = harmless.map(({ danger }) => danger).sort((a, b) => b - a);
  const equal = alarms[Math.round(falseAlarmsAt * alarms.length)] ?? 0;
  return {
    top1: share(decided, ({ top1 }) => top1),
    top5: share(decided, ({ top5 }) => top5),
    loss: decided.reduce((sum, { loss }) => sum + loss, 0) / decided.length,
    dangerMissed: share(dangerous, ({ danger }) => danger < threshold),
    falseAlarms: share(harmless, ({ danger }) => danger >= threshold),
    dangerMissedAtEqualFalseAlarms: share(dangerous, ({ danger }) => danger <= equal),
  };
}

async function answers(guide: Guide, manifest: string): Promise<Answered[]> {
  const { aliases = {} } = JSON.parse(readFileSync(new URL('labels.json', MODEL), 'utf8')) as {
    aliases?: Record<string, string>;
  };
  const photos = (await readPhotoList(manifest)).filter(({ split }) => split === 'test');
  const source = await openPhotos(manifest, photos[0]?.file ?? '');
  const system = new PosternSystem({ env: { POSTERN_LOG_LEVEL: 'warn', POSTERN_STORE: 'memory' } });
  const found: Answered[] = [];
  try {
    const gateway = await system.gateway();
    system.worker(gateway, system.issue('bench'));
    await untilModel(gateway.url, 'plants', 120_000);
    const client = createClient({ gateway: gateway.url });
    await forEachConcurrently(photos, CONCURRENCY, async (photo, index) => {
      const entry = guide.get(aliases[photo.class] ?? photo.class);
      if (entry === null) return;
      const { output, status, version } = await client.run('plants', await source.read(photo.file), {
        contentType: 'image/jpeg',
        parameters: { top_k: '1000' },
        timeoutMs: 120_000,
      });
      if (!isClassification(output)) throw new Error(`${photo.file}: ${status}`);
      const { predictions: scores, rejected, unsure = false, reject_score: rejectScore = null } = output;
      const result: PhotoScores = { type: 'scores', scores, rejected, unsure, rejectScore, version };
      found[index] = { entry: entry.id, dangerous: entry.danger?.dangerous === true, result };
      if (index % 500 === 499) console.log(`${index + 1} of ${photos.length} photos`);
    });
  } finally {
    await source.close();
    await system.remove();
  }
  // Photos of nothing in the guide leave holes.
  return found.filter((one) => one !== undefined);
}

/** In an order of its own for each draw; what is left over at the end of a class is not used in that draw. */
function groupsOf(classes: readonly (readonly Answered[])[], size: number, random: () => number): Answered[][] {
  return classes.flatMap((photos) => {
    const shuffled = photos.map((photo) => ({ photo, at: random() })).sort((a, b) => a.at - b.at);
    return Array.from({ length: Math.floor(photos.length / size) }, (_, n) =>
      shuffled.slice(n * size, (n + 1) * size).map(({ photo }) => photo),
    );
  });
}

const [manifest, draws = '20'] = process.argv.slice(2);
if (manifest === undefined) throw new Error('usage: npm run bench:combine -- <manifest.csv> [draws]');
const guide = await loadGuide(GUIDE);
const all = await answers(guide, manifest);
const classes = [...Map.groupBy(all, ({ entry }) => entry).values()];
const random = createRandom(1).next;
const figures = SIZES.map((size) => {
  const groups = Array.from({ length: size === 1 ? 1 : Number(draws) }, () => groupsOf(classes, size, random)).flat();
  const decided = Object.entries(METHODS).map(
    ([name, method]) => [name, groups.map((group) => decideGroup(guide, group, method))] as const,
  );
  const threshold = guide.dangerousFrom;
  const equal = share(
    (decided[0]?.[1] ?? []).filter(({ dangerous }) => !dangerous),
    ({ danger }) => danger >= threshold,
  );
  return {
    photos: size,
    groups: groups.length,
    methods: Object.fromEntries(decided.map(([name, list]) => [name, figuresOf(list, threshold, equal)])),
  };
});
for (const { photos, groups, methods } of figures) {
  console.log(`${photos} photos, ${groups} groups`);
  console.table(methods);
}
/** Over groups of two to four, the field guide's method less the best of the others. */
const worst = (of: keyof ReturnType<typeof figuresOf>, best: 'max' | 'min'): number => {
  const gaps = figures.slice(1).map(({ methods: { geometric, ...others } }) => {
    const rivals = Object.values(others).map((one) => one[of]);
    return (geometric?.[of] ?? 0) - Math[best](...rivals);
  });
  return Math[best === 'max' ? 'min' : 'max'](...gaps);
};
const checks = [
  atLeast('top-1, geometric mean less the better of the others, worst size', worst('top1', 'max') * 100, 'points', 0),
  atMost('false alarms, the same', worst('falseAlarms', 'min') * 100, 'points', 0),
  atMost(
    'danger missed at equal false alarms, the same',
    worst('dangerMissedAtEqualFalseAlarms', 'min') * 100,
    'points',
    0,
  ),
];
record('combine', checks, {
  photos: all.length,
  classes: classes.length,
  dangerousPhotos: all.filter(({ dangerous }) => dangerous).length,
  draws: Number(draws),
  threshold: guide.dangerousFrom,
  figures,
});
