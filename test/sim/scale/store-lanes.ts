/**
 * The database, as one gateway has it: a connection for each kind of statement, with one statement at a time, and what the others are told when an
 * answer says that work waits for them.
 */
import type { Dispatcher } from '../../../src/dispatch/dispatcher.ts';
import { DEFAULT_LEASE_MS } from '../../../src/dispatch/job.ts';
import type { ClaimRequest, Claimed, Store, SubmittedJob, SubmitOutcome } from '../../../src/store/store.ts';
import { createLane } from './lane.ts';
import type { GatewayPart, World } from './shape.ts';

export type StoreLanes = ReturnType<typeof createStoreLanes>;

type Ends = Parameters<Store['settle']>[0];

export function createStoreLanes(world: World, self: GatewayPart) {
  const { database, hints, options } = world;

  function ask<T>(
    kind: Parameters<World['database']['ask']>[0],
    step: (store: Store) => Promise<T>,
    rows: (result: T) => number,
  ): Promise<T> {
    return database.ask(kind, step, rows, () => self.isUp);
  }

  const submit = createLane<readonly SubmittedJob[], SubmitOutcome[]>((calls) =>
    ask(
      'submit',
      (shared) => shared.submit(calls.flat()),
      (all) => all.length,
    ).then((all) => {
      hints.waiting(self, toTell(all));
      return cutAs(calls, all);
    }),
  );

  const claim = createLane<readonly ClaimRequest[], Claimed[]>((calls) =>
    ask(
      'claim',
      (shared) => shared.claim(calls.flat()),
      (all) => all.reduce((sum, { jobs }) => sum + jobs.length, 0),
    ).then((all) => {
      if (all.every(({ jobs }) => jobs.length === 0)) world.sent.add('claims for nothing');
      // Its own workers had room for some of it only.
      if (options.hints === 'when short') hints.waiting(self, leftOver(calls.flat(), all));
      return cutAs(calls, all);
    }),
  );

  const settle = createLane<Ends, Awaited<ReturnType<Store['settle']>>>((calls) =>
    ask(
      'settle',
      (shared) => shared.settle(calls.flat()),
      (all) => all.length,
    ).then((all) => {
      hints.decided(self, all.length);
      return cutAs(calls, all);
    }),
  );

  const beat = createLane<readonly string[], null>((calls) => {
    const sessions = calls.flat();
    return ask(
      'heartbeat',
      async (shared) => {
        for (const session of sessions) await shared.heartbeat(session, DEFAULT_LEASE_MS);
      },
      () => sessions.length,
    ).then(() => calls.map(() => null));
  });

  async function heartbeats(sessions: readonly string[]): Promise<void> {
    if (options.heartbeats === 'one by one') for (const session of sessions) await beat([session]);
    else if (sessions.length > 0) await beat(sessions);
  }

  const freeRows = (model: string): number => freeRowsOf(self.dispatcher, model);

  /** Models of which others must hear that work came. */
  function toTell(outcomes: readonly SubmitOutcome[]): Set<string> {
    const rowsOf = new Map<string, number>();
    for (const one of outcomes) {
      if (one.type === 'accepted') rowsOf.set(one.job.model, (rowsOf.get(one.job.model) ?? 0) + one.job.rows);
    }
    const always = options.hints === 'always';
    return new Set([...rowsOf].flatMap(([model, rows]) => (always || freeRows(model) < rows ? [model] : [])));
  }

  function leftOver(requests: readonly ClaimRequest[], answers: readonly Claimed[]): Set<string> {
    const models = new Set<string>();
    requests.forEach(({ model }, index) => {
      const { jobs, leftRows } = answers[index]!;
      if (jobs.length > 0 && leftRows > 0 && freeRows(model) === 0) models.add(model);
    });
    return models;
  }

  return {
    ask,
    /** As the turn sees it. */
    store: { ...world.store, submit, claim, settle },
    /** Says of these sessions that they live: all that wait for the connection go together. */
    heartbeats,
  };
}

function freeRowsOf(dispatcher: Dispatcher, model: string): number {
  let rows = 0;
  for (const { session, credit } of dispatcher.offersOf(model)) {
    if (session.state === 'connected') rows += credit.freeRows;
  }
  return rows;
}

/** What came for many calls, for each of them. */
function cutAs<T>(calls: readonly (readonly unknown[])[], all: readonly T[]): T[][] {
  let next = 0;
  return calls.map(({ length }) => all.slice(next, (next += length)));
}
