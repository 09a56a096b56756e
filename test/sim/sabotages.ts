/** One broken promise each: the history must notice every one of them, or it proves nothing. */
import type { DatabaseSync } from 'node:sqlite';
import type { Store } from '../../src/store/store.ts';
import type { Sabotage } from './scenario.ts';

type Break = (store: Store, db: DatabaseSync) => Store;
const sqlite = (breakIt: Break): Sabotage => ({ driver: 'sqlite', sqlite: breakIt });
const memory = (breakIt: (store: Store) => Store): Sabotage => ({ driver: 'memory', memory: breakIt });

/** Does it to one in `n`. */
function oneIn(n: number): () => boolean {
  let count = 0;
  return () => (count += 1) % n === 0;
}

export const SABOTAGES: Readonly<Record<string, Sabotage>> = {
  // ---- the disk ------------------------------------------------------------------------------------------------------
  'answers that go out before the commit': { driver: 'sqlite', bugs: { answersBeforeCommit: true } },
  'a failed commit that is answered as if it had gone well': { driver: 'sqlite', bugs: { hidesErrors: true } },
  'sums of a transaction that was rolled back, written with the next one': {
    driver: 'sqlite',
    bugs: { remembersRollback: true },
  },
  'no new leases after a restart': { driver: 'sqlite', bugs: { renewsNobody: true } },

  // ---- fences --------------------------------------------------------------------------------------------------------
  'a fence whose attempt and session are ignored': memory((store) => ({
    ...store,
    async settle(ends) {
      const owned = await Promise.all(
        ends.map(async (end) => {
          const job = await store.get(end.fence.job);
          if (job?.status !== 'processing') return end;
          return { ...end, fence: { ...end.fence, attempt: job.attempt, session: job.session ?? '' } };
        }),
      );
      return store.settle(owned);
    },
  })),
  'an attempt number that is used twice': sqlite((store, db) => {
    const back = db.prepare(
      "UPDATE job SET attempt = attempt - 1 WHERE id = ? AND status = 'starting' AND attempt > 0",
    );
    return {
      ...store,
      async release(session, counts) {
        const jobs = await store.release(session, counts);
        for (const { id, status } of jobs) if (status === 'starting') back.run(id);
        return jobs;
      },
    };
  }),
  'a late result that replaces the one that was committed': sqlite((store, db) => {
    const replace = db.prepare('UPDATE output SET bytes = ? WHERE seq = (SELECT seq FROM job WHERE id = ?)');
    return {
      ...store,
      async settle(ends) {
        const outcomes = await store.settle(ends);
        outcomes.forEach(({ type }, index) => {
          const { fence, outcome } = ends[index]!;
          if (type === 'settled' && outcome.type === 'succeeded') replace.run(outcome.output.bytes, fence.job);
        });
        return outcomes;
      },
    };
  }),

  // ---- what is forgotten -----------------------------------------------------------------------------------------------
  'one accepted job in a hundred that is lost': sqlite((store, db) => {
    const isDue = oneIn(100);
    const lose = db.prepare('DELETE FROM job WHERE id = ?');
    return {
      ...store,
      async submit(jobs) {
        const outcomes = await store.submit(jobs);
        for (const one of outcomes) if (one.type === 'accepted' && isDue()) lose.run(one.job.id);
        return outcomes;
      },
    };
  }),
  'one accepted job in a hundred that is taken back': memory((store) => {
    const isDue = oneIn(100);
    return {
      ...store,
      async submit(jobs) {
        const outcomes = await store.submit(jobs);
        for (const one of outcomes) if (one.type === 'accepted' && isDue()) await store.cancel(one.job.id);
        return outcomes;
      },
    };
  }),
  'an idempotency key that is forgotten': sqlite((store, db) => {
    const forget = db.prepare('UPDATE job SET idempotency_key = NULL WHERE id = ?');
    return {
      ...store,
      async settle(ends) {
        const outcomes = await store.settle(ends);
        for (const one of outcomes) if (one.type === 'applied') forget.run(one.job.id);
        return outcomes;
      },
    };
  }),
  'a cancel that does not outlive the attempt': sqlite((store, db) => {
    const forget = db.prepare("UPDATE job SET cancel_requested = 0 WHERE id = ? AND status = 'processing'");
    return {
      ...store,
      async cancel(id) {
        const job = await store.cancel(id);
        forget.run(id);
        return job;
      },
    };
  }),

  // ---- what never ends -------------------------------------------------------------------------------------------------
  'results that are acked although they could not be kept': sqlite((store) => ({
    ...store,
    settle: (ends) => store.settle(ends).catch(() => ends.map(() => ({ type: 'stale' }) as const)),
  })),
  // Only a job that the wire lost, for a session that came back, stands still then: about one seed in sixty has one.
  'nothing is taken back of what was lost on the way to a worker': {
    driver: 'sqlite',
    mode: 'liveness',
    sqlite: (store) => ({ ...store, reconcile: () => Promise.resolve({ kept: [], lost: [] }) }),
  },
  'nothing is taken back of what a lost worker held': memory((store) => ({
    ...store,
    release: () => Promise.resolve([]),
    sweep: async (limit) => {
      // Kept alive for ever: no lease ever runs out.
      for (let run = 1; run < 40; run += 1)
        for (let w = 1; w < 5; w += 1) await store.heartbeat(`worker-${w}-run-${run}`, 1e9);
      return store.sweep(limit);
    },
  })),

  // ---- who gets what ---------------------------------------------------------------------------------------------------
  'more rows than were asked for': memory((store) => ({
    ...store,
    claim: (requests) => store.claim(requests.map((one) => ({ ...one, maxRows: one.maxRows + 1 }))),
  })),
  'a job for a version that it did not ask for': memory((store) => ({
    ...store,
    claim: (requests) => store.claim(requests.map((one) => ({ ...one, version: one.version === '1' ? '2' : '1' }))),
  })),
};
