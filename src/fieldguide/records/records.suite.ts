/** The contract of the Records port. Every driver's test runs it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test, type TestContext } from 'node:test';
import type { Outcome, PhotoResult } from '../identify/outcome.ts';
import type { InsertLimits, NewIdentification, Records } from './records.ts';

const LIMITS: InsertLimits = { maxUndecided: 20, maxOwned: 1_000, maxWaiting: 2_000 };
const key = (): string => randomBytes(32).toString('hex');
const newId = (): string => randomBytes(16).toString('base64url');
const scores: PhotoResult = {
  type: 'scores',
  scores: [{ label: 'foxglove', score: 0.9 }],
  rejected: false,
  unsure: false,
  rejectScore: 0.01,
  version: '1',
};
const outcome: Outcome = {
  type: 'candidates',
  candidates: [{ entry: 'foxglove', score: 0.9 }],
  danger: null,
  photosUsed: 1,
  photosLeftOut: 0,
  version: '1',
};

function newOne(more: Partial<NewIdentification> = {}): NewIdentification {
  return {
    id: newId(),
    guide: 'plants',
    owner: key(),
    createdAt: 1_700_000_000_000,
    photosExpireAt: 1_700_000_100_000,
    expiresAt: 1_700_000_200_000,
    idempotencyKey: null,
    photos: [{ width: 4, height: 3, blob: key(), thumb: key() }],
    ...more,
  };
}

async function added(records: Records, more: Partial<NewIdentification> = {}): Promise<NewIdentification> {
  const one = newOne(more);
  assert.deepEqual(await records.insert(one, LIMITS), { type: 'inserted' });
  await records.arrived(one.id);
  return one;
}

async function decided(records: Records, more: Partial<NewIdentification> = {}, find: string | null = 'foxglove') {
  const one = await added(records, more);
  await records.result(one.id, 1, 0, scores);
  assert.equal(await records.decide(one.id, 1, outcome, find, one.createdAt + 10), true);
  return one;
}

/** `open` gives started records of its own to each test. */
export function recordsSuite(name: string, open: (t: TestContext) => Promise<Records>): void {
  describe(`records: ${name}`, () => {
    test('what was inserted is there whole, after it has arrived', async (t) => {
      const records = await open(t);
      const one = newOne({ photos: [0, 1].map(() => ({ width: 4, height: 3, blob: key(), thumb: key() })) });
      await records.insert(one, LIMITS);
      assert.equal((await records.get(one.id))?.state, 'arriving');
      assert.deepEqual(await records.list(one.owner, 10, null), []);
      await records.arrived(one.id);
      const found = await records.get(one.id);
      assert.equal(found?.state, 'open');
      assert.deepEqual(
        found?.photos.map(({ n, blob }) => [n, blob]),
        one.photos.map(({ blob }, n) => [n, blob]),
      );
      assert.equal(found?.createdAt, one.createdAt);
      assert.equal(await records.get(newId()), null);
    });

    test('an idempotency key is one identification, of one owner, however many try at once', async (t) => {
      const records = await open(t);
      const owner = key();
      const tries = Array.from({ length: 8 }, () => newOne({ owner, idempotencyKey: 'k' }));
      const answers = await Promise.all(tries.map((one) => records.insert(one, LIMITS)));
      assert.equal(answers.filter(({ type }) => type === 'inserted').length, 1);
      const winner = tries[answers.findIndex(({ type }) => type === 'inserted')]?.id;
      for (const answer of answers)
        if (answer.type !== 'inserted') assert.deepEqual(answer, { type: 'existing', id: winner });
      assert.equal((await records.insert(newOne({ idempotencyKey: 'k' }), LIMITS)).type, 'inserted');
    });

    test('limits hold for those who come at once', async (t) => {
      const records = await open(t);
      const owner = key();
      const answers = await Promise.all(
        Array.from({ length: 6 }, () => records.insert(newOne({ owner }), { ...LIMITS, maxUndecided: 3 })),
      );
      assert.equal(answers.filter(({ type }) => type === 'inserted').length, 3);
      assert.deepEqual(
        answers.find(({ type }) => type === 'refused'),
        { type: 'refused', by: 'maxUndecided' },
      );
      const other = newOne();
      assert.deepEqual(await records.insert(other, { ...LIMITS, maxWaiting: 3 }), {
        type: 'refused',
        by: 'maxWaiting',
      });
      await decided(records, { owner: other.owner });
      const third = newOne({ owner: other.owner });
      assert.deepEqual(await records.insert(third, { ...LIMITS, maxOwned: 1 }), { type: 'refused', by: 'maxOwned' });
    });

    test('pages of a list follow one another, newest first, also within one millisecond', async (t) => {
      const records = await open(t);
      const owner = key();
      const made: string[] = [];
      for (const at of [1, 2, 2, 2, 3]) made.push((await added(records, { owner, createdAt: at })).id);
      await added(records);
      const ids: string[] = [];
      let after: { createdAt: number; id: string } | null = null;
      for (;;) {
        const page = await records.list(owner, 2, after);
        if (page.length === 0) break;
        ids.push(...page.map(({ id }) => id));
        const last = page.at(-1)!;
        after = { createdAt: last.createdAt, id: last.id };
      }
      assert.deepEqual(ids.toSorted(), made.toSorted());
      assert.deepEqual([ids[0], ids[4]], [made[4], made[0]]);
    });

    test('a prediction is noted in place of what was there, and a result once', async (t) => {
      const records = await open(t);
      const { id } = await added(records);
      assert.equal(await records.assign(id, 1, 0, 'job-1', null), true);
      assert.equal(await records.assign(id, 1, 0, 'job-2', null), false);
      assert.equal(await records.assign(id, 1, 0, 'job-2', 'job-1'), true);
      assert.equal(await records.assign(id, 2, 0, 'job-3', 'job-2'), false);
      await records.result(id, 1, 0, scores);
      await records.result(id, 1, 0, { type: 'failed', code: 'internal', message: 'late', retryable: true });
      assert.deepEqual((await records.get(id))?.photos[0]?.result, scores);
      assert.equal(await records.assign(id, 1, 0, 'job-4', 'job-2'), false);
    });

    test('is decided once a round, by one of those who try at once; a retry is another round', async (t) => {
      const records = await open(t);
      const { id, owner } = await added(records);
      assert.equal(
        (await records.undecided(10, null)).some((one) => one.id === id),
        true,
      );
      const tries = await Promise.all([1, 2, 3].map((at) => records.decide(id, 1, outcome, 'foxglove', at)));
      assert.equal(tries.filter(Boolean).length, 1);
      assert.deepEqual((await records.get(id))?.outcome, outcome);
      assert.deepEqual(await records.counts('plants', 'find', null), [{ entry: 'foxglove', count: 1 }]);
      assert.equal(
        (await records.undecided(10, null)).some((one) => one.id === id),
        false,
      );
      assert.equal(await records.reopen(id, 2), false);
      assert.equal(await records.reopen(id, 1), true);
      const again = await records.get(id);
      assert.deepEqual([again?.state, again?.round, again?.outcome, again?.owner], ['open', 2, null, owner]);
      assert.equal(await records.decide(id, 1, outcome, null, 5), false);
    });

    test('a visitor counts once in every window, for the last time it was', async (t) => {
      const records = await open(t);
      const [ada, bob] = [key(), key()];
      const sight = (visitor: string, at: number, entry = 'rose') =>
        records.sight([{ guide: 'plants', kind: 'view', entry, visitor, at }]);
      await sight(ada, 100);
      await sight(ada, 300);
      await sight(ada, 200);
      await sight(bob, 100);
      await sight(bob, 300, 'tulip');
      const counts = async (since: number | null) =>
        Object.fromEntries((await records.counts('plants', 'view', since)).map(({ entry, count }) => [entry, count]));
      assert.deepEqual(await counts(null), { rose: 2, tulip: 1 });
      assert.deepEqual(await counts(250), { rose: 1, tulip: 1 });
      assert.deepEqual(await counts(301), {});
      assert.deepEqual(await records.counts('clothes', 'view', null), []);
    });

    test('a find counts no more when it was wrong or is deleted, unless its finder found it twice', async (t) => {
      const records = await open(t);
      const owner = key();
      const first = await decided(records, { owner });
      const second = await decided(records, { owner });
      const finds = () => records.counts('plants', 'find', null);
      assert.deepEqual(await finds(), [{ entry: 'foxglove', count: 1 }]);
      await records.feedback(first.id, { verdict: 'wrong', entry: 'rose', at: 9 }, null);
      assert.deepEqual((await records.get(first.id))?.feedback, { verdict: 'wrong', entry: 'rose', at: 9 });
      assert.equal((await finds()).length, 1);
      await records.remove(second.id);
      assert.deepEqual(await finds(), []);
      await records.feedback(first.id, null, 'foxglove');
      assert.equal((await records.get(first.id))?.feedback, null);
      assert.equal((await finds()).length, 1);
    });

    test('what is removed gives back its blobs and its running predictions, and a blob is used as long as one row names it', async (t) => {
      const records = await open(t);
      const photo = { width: 4, height: 3, blob: key(), thumb: key() };
      const first = await added(records, { photos: [photo] });
      const second = await added(records, { photos: [photo] });
      await records.assign(first.id, 1, 0, 'job-1', null);
      await records.assign(second.id, 1, 0, 'job-2', null);
      await records.result(second.id, 1, 0, { type: 'failed', code: 'internal', message: 'no', retryable: true });
      assert.deepEqual(await records.jobsOf(first.owner), ['job-1']);
      const removed = await records.remove(first.id);
      assert.deepEqual(removed, { blobs: [photo.blob, photo.thumb], jobs: ['job-1'], undecidedJobs: ['job-1'] });
      assert.equal(await records.isBlobUsed(photo.blob), true);
      assert.equal(await records.isBlobUsed(photo.thumb), true);
      const { jobs, undecidedJobs } = (await records.remove(second.id))!;
      assert.deepEqual([jobs, undecidedJobs], [['job-2'], []]);
      assert.equal(await records.isBlobUsed(photo.blob), false);
      assert.equal(await records.remove(second.id), null);
    });

    test('an owner goes with everything', async (t) => {
      const records = await open(t);
      const owner = key();
      assert.equal(await records.seen(owner, 1), true);
      assert.equal(await records.seen(owner, 2), false);
      const one = await decided(records, { owner });
      await records.sight([{ guide: 'plants', kind: 'view', entry: 'rose', visitor: owner, at: 1 }]);
      const other = await decided(records);
      const { blobs } = await records.removeOwner(owner);
      assert.deepEqual(blobs, [one.photos[0]?.blob, one.photos[0]?.thumb]);
      assert.equal(await records.knows(owner), false);
      assert.equal(await records.get(one.id), null);
      assert.deepEqual(await records.counts('plants', 'view', null), []);
      assert.notEqual(await records.get(other.id), null);
    });

    test('a link leads to it until it is ended', async (t) => {
      const records = await open(t);
      const { id } = await decided(records);
      await records.share(id, { token: 'link-1', photos: true });
      assert.deepEqual((await records.shared('link-1'))?.share, { token: 'link-1', photos: true });
      await records.share(id, null);
      assert.equal(await records.shared('link-1'), null);
    });

    test('photos end before what was found on them; what is not decided keeps its photos', async (t) => {
      const records = await open(t);
      const done = await decided(records, { photosExpireAt: 100, expiresAt: 200 });
      const open_ = await added(records, { photosExpireAt: 100, expiresAt: 200 });
      const nothing = { blobs: [], jobs: [], undecidedJobs: [] };
      assert.deepEqual(await records.expirePhotos(99, 10), nothing);
      const expired = await records.expirePhotos(100, 10);
      assert.deepEqual(expired.blobs, [done.photos[0]?.blob, done.photos[0]?.thumb]);
      assert.deepEqual(await records.expirePhotos(100, 10), nothing);
      assert.equal((await records.get(done.id))?.photos[0]?.blob, null);
      assert.notEqual((await records.get(open_.id))?.photos[0]?.blob, null);
      assert.equal(await records.reopen(done.id, 1), false);
      const { blobs } = await records.expire(200, 0, 10);
      assert.deepEqual(blobs, [open_.photos[0]?.blob, open_.photos[0]?.thumb]);
      assert.equal(await records.get(done.id), null);
      // Time ended it, not its finder: it stays found.
      assert.equal((await records.counts('plants', 'find', null)).length, 1);
    });

    test('what never arrived goes after a while', async (t) => {
      const records = await open(t);
      const one = newOne({ createdAt: 50, expiresAt: 10_000 });
      await records.insert(one, LIMITS);
      assert.deepEqual((await records.expire(100, 50, 10)).blobs, []);
      assert.equal((await records.expire(100, 51, 10)).blobs.length, 2);
    });

    test('a visitor who is forgotten stays as a number', async (t) => {
      const records = await open(t);
      const owner = key();
      await records.seen(owner, 10);
      await records.sight([{ guide: 'plants', kind: 'view', entry: 'rose', visitor: owner, at: 10 }]);
      const busy = key();
      await records.seen(busy, 10);
      await added(records, { owner: busy });
      assert.equal(await records.forgetOwners(10, 10), 0);
      assert.equal(await records.forgetOwners(11, 10), 1);
      assert.equal(await records.knows(busy), true);
      assert.deepEqual(await records.counts('plants', 'view', null), [{ entry: 'rose', count: 1 }]);
      assert.deepEqual(await records.counts('plants', 'view', 0), []);
    });

    test('of snapshots the newest is given, and one by its id while it is kept', async (t) => {
      const records = await open(t);
      const keep = (id: string, madeAt: number, since: number) =>
        records.keepSnapshot('plants', 'day', { id, madeAt, items: `["${id}"]` }, since);
      assert.equal(await records.snapshot('plants', 'day', null), null);
      await keep('a', 100, 0);
      await keep('b', 200, 0);
      await keep('b', 200, 0);
      assert.equal((await records.snapshot('plants', 'day', null))?.id, 'b');
      assert.deepEqual(await records.snapshot('plants', 'day', 'a'), { id: 'a', madeAt: 100, items: '["a"]' });
      assert.equal(await records.snapshot('plants', 'week', 'a'), null);
      await keep('c', 300, 150);
      assert.equal(await records.snapshot('plants', 'day', 'a'), null);
      assert.notEqual(await records.snapshot('plants', 'day', 'b'), null);
    });
  });
}
