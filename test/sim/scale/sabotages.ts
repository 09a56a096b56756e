/** Promises broken on purpose: the books must notice every one of them, or they prove nothing. */
import type { Job } from '../../../src/dispatch/job.ts';
import type { Store } from '../../../src/store/store.ts';
import { death, steady, storm, type Played } from './scenarios.ts';
import type { Bugs, Options } from './shape.ts';

export interface Sabotage {
  readonly bugs: Bugs;
  /** In which it shows. */
  readonly play: (options: Partial<Options>) => Promise<Played>;
  /** A word of the violation. */
  readonly notices: RegExp;
}

const ofStore = (change: (store: Store) => Partial<Store>): Bugs => ({
  store: (store) => ({ ...store, ...change(store) }),
});

export const SABOTAGES: Readonly<Record<string, Sabotage>> = {
  'every gateway is granted all that the worker takes': {
    bugs: { ignoresOtherLinks: true },
    play: (options) => steady(options, 5, 5),
    notices: /over-committed/,
  },
  'rows that were asked back count as given back before the gateway has said so': {
    bugs: { believesWithdrawals: true },
    play: (options) => steady({ ...options, load: 0.95, jobMs: 1_000, largestRows: 1 }, 10, 10),
    notices: /over-committed|beyond/,
  },
  'a worker dials whatever is on the list': {
    bugs: { dialsAll: true },
    play: (options) => steady({ ...options, linksPerWorker: 2 }, 5, 5),
    notices: /keeps .* links/,
  },
  'nobody keeps the leases of what runs for a gateway that is gone': {
    bugs: { keeps: 'never' },
    play: (options) => death({ ...options, jobMs: 32_000 }),
    notices: /was taken from/,
  },
  'leases are kept once, and not as long as something runs': {
    bugs: { keeps: 'once' },
    play: (options) => death({ ...options, jobMs: 32_000 }),
    notices: /was taken from/,
  },
  'leases are kept from when a link counts as lost, and not from when it is silent': {
    bugs: { keeps: 'when lost' },
    play: (options) => death({ ...options, jobMs: 32_000 }),
    notices: /was taken from/,
  },
  'fences are not looked at': {
    bugs: ofStore((store) => ({
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
    play: (options) => storm({ ...options, jobMs: 16_000 }, 18, 40),
    notices: /by a stale attempt/,
  },
  'a result is written again over one that was decided': {
    bugs: ofStore((store) => ({
      async settle(ends) {
        const outcomes = await store.settle(ends);
        return outcomes.map((one, index) => {
          if (one.type !== 'settled' && one.type !== 'unknown') return one;
          const { job: id, attempt } = ends[index]!.fence;
          return { type: 'applied', job: { id, status: 'succeeded', attempt } as Job };
        });
      },
    })),
    play: (options) => storm(options, 60, 40),
    notices: /decided twice/,
  },
  'nothing is taken back of what dead workers held': {
    bugs: ofStore(() => ({
      release: () => Promise.resolve([]),
      sweep: () => Promise.resolve({ claims: true, reclaimed: [], expired: [], forgotten: 0 }),
    })),
    play: death,
    notices: /never decided/,
  },
};
