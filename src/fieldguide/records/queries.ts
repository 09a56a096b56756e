/** The Records port by Kysely: one set of queries for both databases. What is read and then written stands in one transaction. */
import type { Kysely } from 'kysely';
import type { Outcome } from '../identify/outcome.ts';
import type { Feedback, Inserted, InsertLimits, NewIdentification, Records, Sighting } from './records.ts';
import { forgetFind, insertRows, NOTHING_REMOVED, removedOf, removeRows, withPhotos, type Db } from './rows.ts';
import type { Tables } from './tables.ts';

type Queries = Omit<Records, 'start' | 'stop'>;

export interface QueryOptions {
  readonly db: () => Kysely<Tables>;
  /** Takes a lock until the transaction ends, so that two inserts of one owner are counted one after the other. */
  readonly lockOwner: (db: Db, owner: string) => Promise<void>;
}

export function createQueries({ db, lockOwner }: QueryOptions): Queries {
  const atomic = <T>(body: (transaction: Db) => Promise<T>): Promise<T> => db().transaction().execute(body);

  return {
    insert: (identification, limits) =>
      atomic(async (tx): Promise<Inserted> => {
        await lockOwner(tx, identification.owner);
        const existing = await byIdempotencyKey(tx, identification);
        if (existing !== null) return { type: 'existing', id: existing };
        const over = await overLimit(tx, identification, limits);
        if (over !== null) return { type: 'refused', by: over };
        await insertRows(tx, identification);
        return { type: 'inserted' };
      }),
    async arrived(id) {
      await db()
        .updateTable('identification')
        .set({ state: 'open' })
        .where('id', '=', id)
        .where('state', '=', 'arriving')
        .execute();
    },
    async get(id) {
      const rows = await db().selectFrom('identification').selectAll().where('id', '=', id).execute();
      return (await withPhotos(db(), rows))[0] ?? null;
    },
    async list(owner, limit, after) {
      let query = db()
        .selectFrom('identification')
        .selectAll()
        .where('owner', '=', owner)
        .where('state', '<>', 'arriving')
        .orderBy('created_at', 'desc')
        .orderBy('id', 'desc')
        .limit(limit);
      if (after !== null) {
        query = query.where((eb) =>
          eb.or([
            eb('created_at', '<', after.createdAt),
            eb.and([eb('created_at', '=', after.createdAt), eb('id', '<', after.id)]),
          ]),
        );
      }
      return withPhotos(db(), await query.execute());
    },
    async shared(token) {
      const rows = await db().selectFrom('identification').selectAll().where('share_token', '=', token).execute();
      return (await withPhotos(db(), rows))[0] ?? null;
    },
    async undecided(limit, after) {
      const rows = await db()
        .selectFrom('identification')
        .selectAll()
        // The words of the partial index, so that it is used.
        .where('state', '<>', 'decided')
        .where('state', '=', 'open')
        .where('id', '>', after ?? '')
        .orderBy('id')
        .limit(limit)
        .execute();
      return withPhotos(db(), rows);
    },
    async assign(id, round, n, job, instead) {
      const { numUpdatedRows } = await db()
        .updateTable('photo')
        .set({ job })
        .where('identification', '=', id)
        .where('n', '=', n)
        .where('result', 'is', null)
        .where('job', instead === null ? 'is' : '=', instead)
        .where((eb) => eb.exists(openRound(db(), id, round)))
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },
    async result(id, round, n, result) {
      await db()
        .updateTable('photo')
        .set({ result: JSON.stringify(result) })
        .where('identification', '=', id)
        .where('n', '=', n)
        .where('result', 'is', null)
        .where((eb) => eb.exists(openRound(db(), id, round)))
        .execute();
    },
    decide: (id, round, outcome, find, at) =>
      atomic(async (tx) => {
        const row = await tx
          .updateTable('identification')
          .set({ state: 'decided', outcome: JSON.stringify(outcome satisfies Outcome), find, decided_at: at })
          .where('id', '=', id)
          .where('round', '=', round)
          .where('state', '=', 'open')
          .returning(['guide', 'owner'])
          .executeTakeFirst();
        if (row === undefined) return false;
        if (find !== null) {
          await sight(tx, { guide: row.guide, kind: 'find', entry: find, visitor: row.owner, at });
        }
        return true;
      }),
    reopen: (id, round) =>
      atomic(async (tx) => {
        const { numUpdatedRows } = await tx
          .updateTable('identification')
          .set({ state: 'open', round: round + 1, outcome: null, decided_at: null, feedback: null })
          .where('id', '=', id)
          .where('round', '=', round)
          .where('state', '=', 'decided')
          .where('has_photos', '=', 1)
          .executeTakeFirst();
        if (numUpdatedRows === 0n) return false;
        await tx.updateTable('photo').set({ job: null, result: null }).where('identification', '=', id).execute();
        return true;
      }),
    feedback: (id, feedback, find) =>
      atomic(async (tx) => {
        const before = await tx
          .selectFrom('identification')
          .select(['guide', 'owner', 'find', 'decided_at'])
          .where('id', '=', id)
          .where('state', '=', 'decided')
          .executeTakeFirst();
        if (before === undefined) return;
        const text = feedback === null ? null : JSON.stringify(feedback satisfies Feedback);
        await tx.updateTable('identification').set({ feedback: text, find }).where('id', '=', id).execute();
        const { guide, owner } = before;
        if (before.find === find) return;
        if (before.find !== null) await forgetFind(tx, { guide, owner, find: before.find });
        const at = before.decided_at ?? 0;
        if (find !== null) await sight(tx, { guide, kind: 'find', entry: find, visitor: owner, at });
      }),
    async share(id, share) {
      await db()
        .updateTable('identification')
        .set({ share_token: share?.token ?? null, share_photos: share?.photos === true ? 1 : 0 })
        .where('id', '=', id)
        .execute();
    },
    remove: (id) =>
      atomic(async (tx) => {
        const row = await tx.selectFrom('identification').select('id').where('id', '=', id).executeTakeFirst();
        return row === undefined ? null : removeRows(tx, [id]);
      }),
    async jobsOf(owner) {
      const photos = await db()
        .selectFrom('photo')
        .innerJoin('identification', 'identification.id', 'photo.identification')
        .select('photo.job')
        .where('identification.owner', '=', owner)
        .execute();
      return photos.flatMap(({ job }) => job ?? []);
    },
    removeOwner: (owner) =>
      atomic(async (tx) => {
        const rows = await tx.selectFrom('identification').select('id').where('owner', '=', owner).execute();
        const removed = await removeRows(
          tx,
          rows.map(({ id }) => id),
        );
        await tx.deleteFrom('sighting').where('visitor', '=', owner).execute();
        await tx.deleteFrom('owner').where('id', '=', owner).execute();
        return removed;
      }),
    async isBlobUsed(key) {
      const row = await db()
        .selectFrom('photo')
        .select('n')
        .where((eb) => eb.or([eb('blob', '=', key), eb('thumb', '=', key)]))
        .limit(1)
        .executeTakeFirst();
      return row !== undefined;
    },

    seen: (owner, at) =>
      atomic(async (tx) => {
        const { numUpdatedRows } = await tx
          .updateTable('owner')
          .set({ seen_at: at })
          .where('id', '=', owner)
          .executeTakeFirst();
        if (numUpdatedRows > 0n) return false;
        await tx
          .insertInto('owner')
          .values({ id: owner, seen_at: at })
          .onConflict((conflict) => conflict.column('id').doUpdateSet({ seen_at: at }))
          .execute();
        return true;
      }),
    async knows(owner) {
      const row = await db().selectFrom('owner').select('id').where('id', '=', owner).executeTakeFirst();
      return row !== undefined;
    },
    async sight(sightings) {
      if (sightings.length === 0) return;
      await atomic(async (tx) => {
        for (const one of sightings) await sight(tx, one);
      });
    },
    async counts(guide, kind, since) {
      let query = db()
        .selectFrom('sighting')
        .select(({ fn }) => ['entry', fn.countAll<number>().as('count')])
        .where('guide', '=', guide)
        .where('kind', '=', kind)
        .groupBy('entry');
      if (since !== null) query = query.where('last_at', '>=', since);
      const counts = new Map((await query.execute()).map(({ entry, count }) => [entry, Number(count)]));
      if (since === null) {
        const tallies = await db()
          .selectFrom('tally')
          .select(['entry', 'count'])
          .where('guide', '=', guide)
          .where('kind', '=', kind)
          .execute();
        for (const { entry, count } of tallies) counts.set(entry, (counts.get(entry) ?? 0) + count);
      }
      return [...counts].map(([entry, count]) => ({ entry, count }));
    },
    async snapshot(guide, window, id) {
      let query = db()
        .selectFrom('ranking')
        .select(['id', 'made_at', 'items'])
        .where('guide', '=', guide)
        .where('period', '=', window)
        .orderBy('made_at', 'desc')
        .limit(1);
      if (id !== null) query = query.where('id', '=', id);
      const row = await query.executeTakeFirst();
      return row === undefined ? null : { id: row.id, madeAt: row.made_at, items: row.items };
    },
    keepSnapshot: (guide, window, { id, madeAt, items }, keepSince) =>
      atomic(async (tx) => {
        const row = { id, guide, period: window, made_at: madeAt, items };
        await tx
          .insertInto('ranking')
          .values(row)
          .onConflict((conflict) => conflict.column('id').doNothing())
          .execute();
        await tx
          .deleteFrom('ranking')
          .where('guide', '=', guide)
          .where('period', '=', window)
          .where('made_at', '<', keepSince)
          .where('id', '<>', id)
          .execute();
      }),

    expirePhotos: (now, limit) =>
      atomic(async (tx) => {
        const rows = await tx
          .selectFrom('identification')
          .select('id')
          .where('has_photos', '=', 1)
          .where('photos_expire_at', '<=', now)
          // What is not decided needs them; it is decided within a day.
          .where('state', '=', 'decided')
          .limit(limit)
          .execute();
        const ids = rows.map(({ id }) => id);
        if (ids.length === 0) return NOTHING_REMOVED;
        const photos = await tx
          .selectFrom('photo')
          .select(['blob', 'thumb', 'job', 'result'])
          .where('identification', 'in', ids)
          .execute();
        await tx.updateTable('photo').set({ blob: null, thumb: null }).where('identification', 'in', ids).execute();
        await tx.updateTable('identification').set({ has_photos: 0 }).where('id', 'in', ids).execute();
        return removedOf(photos);
      }),
    expire: (now, arrivingBefore, limit) =>
      atomic(async (tx) => {
        const ended = await tx
          .selectFrom('identification')
          .select('id')
          .where((eb) =>
            eb.or([
              eb('expires_at', '<=', now),
              eb.and([
                eb('state', '=', 'arriving'),
                eb('state', '<>', 'decided'),
                eb('created_at', '<', arrivingBefore),
              ]),
            ]),
          )
          .limit(limit)
          .execute();
        const ids = ended.map(({ id }) => id);
        // What somebody found stays found: only a person's own delete takes it back.
        if (ids.length > 0) await tx.updateTable('identification').set({ find: null }).where('id', 'in', ids).execute();
        return removeRows(tx, ids);
      }),
    forgetOwners: (seenBefore, limit) =>
      atomic(async (tx) => {
        const owners = await tx
          .selectFrom('owner')
          .select('id')
          .where('seen_at', '<', seenBefore)
          .where((eb) =>
            eb.not(
              eb.exists(eb.selectFrom('identification').select('id').whereRef('identification.owner', '=', 'owner.id')),
            ),
          )
          .limit(limit)
          .execute();
        for (const { id } of owners) await forgetOwner(tx, id);
        return owners.length;
      }),
  };
}

const openRound = (db: Db, id: string, round: number) =>
  db
    .selectFrom('identification')
    .select('id')
    .where('id', '=', id)
    .where('round', '=', round)
    .where('state', '=', 'open');

async function byIdempotencyKey(db: Db, { owner, idempotencyKey }: NewIdentification): Promise<string | null> {
  if (idempotencyKey === null) return null;
  const row = await db
    .selectFrom('identification')
    .select('id')
    .where('owner', '=', owner)
    .where('idempotency_key', '=', idempotencyKey)
    .executeTakeFirst();
  return row?.id ?? null;
}

async function overLimit(db: Db, { owner, guide }: NewIdentification, limits: InsertLimits) {
  const owned = await db
    .selectFrom('identification')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('owner', '=', owner)
    .executeTakeFirstOrThrow();
  if (Number(owned.count) >= limits.maxOwned) return 'maxOwned';
  const undecided = await db
    .selectFrom('identification')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('state', '<>', 'decided')
    .where('owner', '=', owner)
    .executeTakeFirstOrThrow();
  if (Number(undecided.count) >= limits.maxUndecided) return 'maxUndecided';
  const waiting = await db
    .selectFrom('identification')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('state', '<>', 'decided')
    .where('guide', '=', guide)
    .executeTakeFirstOrThrow();
  return Number(waiting.count) >= limits.maxWaiting ? 'maxWaiting' : null;
}

async function sight(db: Db, { guide, kind, entry, visitor, at }: Sighting): Promise<void> {
  await db
    .insertInto('sighting')
    .values({ guide, kind, entry, visitor, last_at: at })
    .onConflict((conflict) =>
      conflict
        .columns(['visitor', 'guide', 'kind', 'entry'])
        .doUpdateSet({ last_at: at })
        .where('sighting.last_at', '<', at),
    )
    .execute();
}

/** What they found and read stays as a number that nobody can trace back. */
async function forgetOwner(db: Db, owner: string): Promise<void> {
  const sightings = await db
    .deleteFrom('sighting')
    .where('visitor', '=', owner)
    .returning(['guide', 'kind', 'entry'])
    .execute();
  for (const { guide, kind, entry } of sightings) {
    await db
      .insertInto('tally')
      .values({ guide, kind, entry, count: 1 })
      .onConflict((conflict) =>
        conflict.columns(['guide', 'kind', 'entry']).doUpdateSet((eb) => ({ count: eb('tally.count', '+', 1) })),
      )
      .execute();
  }
  await db.deleteFrom('owner').where('id', '=', owner).execute();
}
