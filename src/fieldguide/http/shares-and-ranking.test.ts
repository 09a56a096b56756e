/** What others see: shared results without a trace of a person, and the ranking, in which everybody counts once. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { succeeded } from '../../../test/support/fake-predictions.ts';
import { startFieldGuide, type RunningFieldGuide } from '../../../test/support/field-guide.ts';
import type { Identification, RankingPage } from '../../../test/support/field-guide-shapes.ts';
import { pattern } from '../../../test/support/images.ts';
import { eventually } from '../../../test/support/leaks.ts';
import { createManualClock } from '../../../test/support/manual-clock.ts';
import { createVisitor, type Visitor } from '../../../test/support/visitor.ts';

const photo = await pattern(64, 48).jpeg().toBuffer();
const DAY_MS = 86_400_000;

const answer = (label: string, more: object = {}) =>
  succeeded(JSON.stringify({ predictions: [{ label, score: 0.9 }], rejected: false, unsure: false, ...more }));

async function find(
  guide: RunningFieldGuide,
  visitor: Visitor,
  label: string,
  more: object = {},
): Promise<Identification> {
  guide.fake.ending = answer(label, more);
  const { id } = await visitor.identify([photo]);
  return await visitor.decided(id);
}

/** The wall clock jumps, as after a sleep: nobody fires a timer for each second of a year. Then what looks at the time has its turn. */
function pass(clock: ReturnType<typeof createManualClock>, durationMs: number): void {
  clock.suspend(durationMs);
  clock.advance(61_000);
}

describe('a shared result', () => {
  test('has no id, no owner, no hour, no feedback, and no photo unless its owner chose so', async (t) => {
    const guide = await startFieldGuide(t);
    const ada = createVisitor(guide.base);
    const { id } = await find(guide, ada, 'foxglove');
    await ada.postJson(`/api/identifications/${id}/feedback`, { verdict: 'right' });
    const made = await ada.postJson(`/api/identifications/${id}/share`, {});
    const link = (await made.json()) as { token: string; url: string; photos: boolean };
    assert.deepEqual([link.url, link.photos], [`/s/${link.token}`, false]);
    const response = await fetch(`${guide.base}/api/shares/${link.token}`);
    assert.equal(response.headers.get('cache-control'), 'no-store');
    const shared = (await response.json()) as { date: string; outcome: { candidates: unknown[] }; photos: unknown[] };
    assert.deepEqual(Object.keys(shared).sort(), ['date', 'guide', 'outcome', 'photos']);
    assert.match(shared.date, /^\d{4}-\d\d-\d\d$/);
    assert.equal(shared.outcome.candidates.length, 1);
    assert.deepEqual(shared.photos, []);
    assert.ok(!JSON.stringify(shared).includes(id));
    assert.equal((await fetch(`${guide.base}/api/shares/${link.token}/photos/0`)).status, 404);

    const again = (await (await ada.postJson(`/api/identifications/${id}/share`, { photos: true })).json()) as object;
    assert.deepEqual(again, { token: link.token, url: link.url, photos: true });
    const photos = await fetch(`${guide.base}/api/shares/${link.token}/photos/0?size=thumb`);
    assert.deepEqual([photos.status, photos.headers.get('content-type')], [200, 'image/jpeg']);
    assert.equal((await ada.fetch(`/api/identifications/${id}/share`, { method: 'DELETE' })).status, 204);
    assert.equal((await fetch(`${guide.base}/api/shares/${link.token}`)).status, 404);
  });

  test('needs an outcome, and so does feedback', async (t) => {
    const guide = await startFieldGuide(t);
    guide.fake.ending = null;
    const ada = createVisitor(guide.base);
    const { id } = await ada.identify([photo]);
    assert.equal((await ada.postJson(`/api/identifications/${id}/share`, {})).status, 409);
    assert.equal((await ada.postJson(`/api/identifications/${id}/feedback`, { verdict: 'right' })).status, 409);
  });
});

describe('feedback', () => {
  test('names the first candidate when it was right, can be changed and taken back, and an unknown entry is refused', async (t) => {
    const guide = await startFieldGuide(t);
    const ada = createVisitor(guide.base);
    const { id } = await find(guide, ada, 'foxglove');
    const path = `/api/identifications/${id}/feedback`;
    const say = async (body: object) => ((await (await ada.postJson(path, body)).json()) as Identification).feedback;
    assert.equal((await say({ verdict: 'right' }))?.entry, 'foxglove');
    assert.deepEqual(Object.values((await say({ verdict: 'wrong', entry: 'rose' })) ?? {}).slice(0, 2), [
      'wrong',
      'rose',
    ]);
    assert.equal((await say({ verdict: 'wrong' }))?.entry, null);
    for (const [body, status] of [
      [{ verdict: 'maybe' }, 400],
      [{}, 400],
      [{ verdict: 'right', colour: 'red' }, 400],
      [{ verdict: 'wrong', entry: 'unicorn' }, 404],
    ] as const) {
      assert.equal((await ada.postJson(path, body)).status, status, JSON.stringify(body));
    }
    const back = (await (await ada.fetch(path, { method: 'DELETE' })).json()) as Identification;
    assert.equal(back.feedback, null);
  });
});

describe('the ranking', () => {
  const read = async (guide: RunningFieldGuide, query = 'window=all'): Promise<RankingPage> => {
    const response = await fetch(`${guide.base}/api/guides/plants/ranking?${query}`);
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return JSON.parse(text) as RankingPage;
  };
  const shown = ({ items }: RankingPage) => items.map(({ entry, finds, views }) => [entry.id, finds, views]);
  /** Snapshots are made each minute. */
  async function counted(
    guide: RunningFieldGuide,
    clock: ReturnType<typeof createManualClock>,
    expected: unknown,
  ): Promise<void> {
    clock.advance(61_000);
    await eventually(async () => JSON.stringify(shown(await read(guide))) === JSON.stringify(expected));
  }

  test('counts everybody once an entry, neither doubts nor mistakes, and reading of a page too', async (t) => {
    const clock = createManualClock();
    const guide = await startFieldGuide(t, { clock });
    const [ada, bob] = [createVisitor(guide.base), createVisitor(guide.base)];
    await find(guide, ada, 'rose');
    await find(guide, ada, 'rose');
    await find(guide, bob, 'rose');
    const wrong = await find(guide, ada, 'foxglove');
    await find(guide, bob, 'foxglove');
    await find(guide, bob, 'artichoke', { unsure: true });
    await find(guide, bob, 'anthurium', { rejected: true });
    await bob.postJson(`/api/identifications/${wrong.id}/feedback`, { verdict: 'wrong' });
    const view = (visitor: Visitor, entry: string) =>
      visitor.fetch(`/api/guides/plants/entries/${entry}/views`, { method: 'POST' });
    for (const visitor of [ada, ada, bob]) assert.equal((await view(visitor, 'foxglove')).status, 204);
    assert.equal((await view(ada, 'unicorn')).status, 404);
    await counted(guide, clock, [
      ['foxglove', 2, 2],
      ['rose', 2, 0],
    ]);
    await ada.postJson(`/api/identifications/${wrong.id}/feedback`, { verdict: 'wrong' });
    await counted(guide, clock, [
      ['rose', 2, 0],
      ['foxglove', 1, 2],
    ]);
  });

  test('of a day and a week forgets what was before; of all time does not', async (t) => {
    const clock = createManualClock();
    const guide = await startFieldGuide(t, { clock });
    const ada = createVisitor(guide.base);
    await find(guide, ada, 'rose');
    await counted(guide, clock, [['rose', 1, 0]]);
    assert.equal((await read(guide, 'window=day')).total, 1);
    pass(clock, DAY_MS);
    await eventually(async () => (await read(guide, 'window=day')).total === 0);
    assert.equal((await read(guide, 'window=week')).total, 1);
    pass(clock, 7 * DAY_MS);
    await eventually(async () => (await read(guide, 'window=week')).total === 0);
    assert.equal((await read(guide)).total, 1);
  });

  test('pages go on in the snapshot in which they began, and end with it', async (t) => {
    const clock = createManualClock();
    const guide = await startFieldGuide(t, { clock });
    const [ada, bob] = [createVisitor(guide.base), createVisitor(guide.base)];
    for (const label of ['rose', 'foxglove', 'artichoke']) await find(guide, ada, label);
    await counted(guide, clock, [
      ['artichoke', 1, 0],
      ['foxglove', 1, 0],
      ['rose', 1, 0],
    ]);
    const first = await read(guide, 'window=all&limit=1');
    assert.equal(first.items[0]?.entry.id, 'artichoke');
    await find(guide, bob, 'rose');
    await counted(guide, clock, [
      ['rose', 2, 0],
      ['artichoke', 1, 0],
      ['foxglove', 1, 0],
    ]);
    const second = await read(guide, `window=all&limit=1&cursor=${first.next}`);
    const third = await read(guide, `window=all&limit=1&cursor=${second.next}`);
    assert.deepEqual([second.items[0]?.entry.id, third.items[0]?.entry.id, third.next], ['foxglove', 'rose', null]);
    assert.deepEqual([second.items[0]?.rank, third.items[0]?.rank], [2, 3]);

    pass(clock, 3 * 3_600_000);
    await find(guide, bob, 'artichoke');
    await counted(guide, clock, [
      ['artichoke', 2, 0],
      ['rose', 2, 0],
      ['foxglove', 1, 0],
    ]);
    const late = await fetch(`${guide.base}/api/guides/plants/ranking?window=all&limit=1&cursor=${first.next}`);
    assert.equal(late.status, 410);
    for (const query of ['window=month', 'cursor=x', 'limit=0', 'sort=finds']) {
      assert.equal((await fetch(`${guide.base}/api/guides/plants/ranking?${query}`)).status, 400, query);
    }
  });
});

describe('time', () => {
  test('ends photos first and the record later; what was found stays found', async (t) => {
    const clock = createManualClock();
    const options = { photoTtlMs: 30 * DAY_MS, recordTtlMs: 365 * DAY_MS };
    const guide = await startFieldGuide(t, { clock, options });
    const ada = createVisitor(guide.base);
    const { id } = await find(guide, ada, 'rose');
    const files = (): string[] => globSync(join(guide.folder, 'photos/??/??/*'));
    pass(clock, 29 * DAY_MS);
    assert.equal((await ada.fetch(`/api/identifications/${id}/photos/0`)).status, 200);
    pass(clock, 2 * DAY_MS);
    await eventually(() => files().length === 0);
    const old = await ada.read(id);
    assert.equal(old.outcome?.candidates[0]?.entry.id, 'rose');
    assert.deepEqual([old.photos[0]?.url, old.photos[0]?.thumb], [null, null]);
    const gone = await ada.fetch(`/api/identifications/${id}/photos/0`);
    assert.deepEqual([gone.status, ((await gone.json()) as { code: string }).code], [404, 'photo_not_found']);
    pass(clock, 335 * DAY_MS);
    await eventually(async () => (await ada.fetch(`/api/identifications/${id}`)).status === 404);
    const ranking = await fetch(`${guide.base}/api/guides/plants/ranking?window=all`);
    assert.equal(((await ranking.json()) as RankingPage).items[0]?.entry.id, 'rose');
  });
});
