/** Gateways that hear of each other over a real PostgreSQL; and what one believes while the database is away, over a book that fails. */
import assert from 'node:assert/strict';
import { suite, test, type TestContext } from 'node:test';
import { systemClock } from '../../clock.ts';
import { silentLogger } from '../../logger.ts';
import { Secret } from '../../secret.ts';
import type { MemberBook, MemberNote, MemberRow } from '../../store/members.ts';
import { createPostgresStore } from '../../store/postgres/postgres.ts';
import type { Store } from '../../store/store.ts';
import { createManualClock } from '../../../test/support/manual-clock.ts';
import { cannotRunPostgres, testPostgres } from '../../../test/support/postgres.ts';
import { decodeSummary, encodeSummary, toMembers, type Summary } from './member.ts';
import { BEAT_MS, createMembers, DEAD_MS, type Members } from './members.ts';

const NOTHING: Summary = { sessions: 0, models: [] };

function until(members: Members, isSo: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!isSo()) return;
      end();
      resolve();
    };
    const end = members.onChange(look);
    look();
  });
}

void suite('gateways on one database', { skip: cannotRunPostgres() }, () => {
  async function stores(t: TestContext, count: number): Promise<Store[]> {
    const postgres = await testPostgres();
    const url = new Secret(postgres.urlOf(await postgres.createDatabase()));
    const made = Array.from({ length: count }, () => createPostgresStore({ url, clock: systemClock, blobs: null }));
    for (const store of made) await store.start();
    t.after(() => Promise.all(made.map((store) => store.stop())));
    return made;
  }

  function member(store: Store, self: string, summary: () => Summary = () => NOTHING): Members {
    return createMembers({ self, release: 'r1', store, summary, clock: systemClock, logger: silentLogger });
  }

  test('each hears of the others, of their addresses, and when one drains or leaves', async (t) => {
    const [first, second] = await stores(t, 2);
    let served: Summary = NOTHING;
    const [a, b] = [member(first!, 'a', () => served), member(second!, 'b')];
    await a.join({ tunnelAddress: 'a.example:37373', peerAddress: '10.0.0.1:9' });
    await b.join({ tunnelAddress: 'b.example:37373', peerAddress: null });
    await until(a, () => a.others.length === 1);
    assert.deepEqual(
      a.list.map(({ id, isSelf, tunnelAddress, peerAddress, state }) => [
        id,
        isSelf,
        tunnelAddress,
        peerAddress,
        state,
      ]),
      [
        ['a', true, 'a.example:37373', '10.0.0.1:9', 'serving'],
        ['b', false, 'b.example:37373', null, 'serving'],
      ],
    );
    served = { sessions: 1, models: [{ model: 'plants', version: '1', sessions: 1, freeRows: 8, inFlightJobs: 2 }] };
    a.changed();
    // No observer is called for it, because it may change with every beat.
    while (b.others[0]?.sessions !== 1) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(b.others[0].models, served.models);
    a.drain();
    await until(b, () => b.others[0]?.state === 'draining');
    await a.leave();
    await until(b, () => b.others.length === 0);
    await b.leave();
  });
});

void suite('what a gateway believes', () => {
  const note = (id: string, more: Partial<MemberRow> = {}): MemberRow => {
    const own = { id, release: 'r1', state: 'serving', tunnelAddress: null, peerAddress: null, summary: '{}' } as const;
    return { ...own, joinedAt: 0, ageMs: 0, ...more };
  };

  /** The notes of others, as the database would tell them; null: it is away. */
  function scene(): {
    clock: ReturnType<typeof createManualClock>;
    members: Members;
    rows: { now: MemberRow[] | null };
  } {
    const clock = createManualClock();
    const rows: { now: MemberRow[] | null } = { now: [] };
    const answer = (own: MemberNote): Promise<MemberRow[]> =>
      rows.now === null
        ? Promise.reject(new Error('the database is away'))
        : Promise.resolve([{ ...own, joinedAt: 0, ageMs: 0 }, ...rows.now]);
    const book: MemberBook = {
      beat: answer,
      read: () => answer(note('self')),
      leave: () => Promise.resolve(),
      announce: () => undefined,
    };
    const members = createMembers({
      self: 'self',
      release: 'r1',
      store: { members: book },
      summary: () => NOTHING,
      clock,
      logger: silentLogger,
    });
    return { clock, members, rows };
  }

  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const ids = (members: Members): string[] => members.others.map(({ id }) => id);
  const faultOf = ({ fault }: Members): string | null => fault?.code ?? null;
  const ADDRESSES = { tunnelAddress: null, peerAddress: null };

  test('whoever did not beat for so long is dead', async () => {
    const { clock, members, rows } = scene();
    rows.now = [note('old', { ageMs: DEAD_MS }), note('young', { ageMs: DEAD_MS - 1 })];
    await members.join(ADDRESSES);
    assert.deepEqual(ids(members), ['young']);
    rows.now = [note('young', { ageMs: DEAD_MS + 1 })];
    clock.advance(BEAT_MS);
    await settle();
    assert.deepEqual(ids(members), []);
    await members.leave();
  });

  test('cut from the database it keeps its list; back again it gives the others time to beat, once', async () => {
    const { clock, members, rows } = scene();
    rows.now = [note('b')];
    await members.join(ADDRESSES);
    rows.now = null;
    assert.equal(faultOf(members), null);
    for (let n = 0; n < 10; n += 1) {
      clock.advance(BEAT_MS);
      await settle();
      assert.equal(faultOf(members), (n + 1) * BEAT_MS < DEAD_MS ? null : 'storage_failed');
    }
    assert.deepEqual(ids(members), ['b']);
    rows.now = [note('b', { ageMs: 20_000 }), note('never known', { ageMs: 20_000 })];
    clock.advance(BEAT_MS);
    await settle();
    assert.equal(faultOf(members), null);
    assert.deepEqual(ids(members), ['b']);
    for (let waitedMs = 0; waitedMs < DEAD_MS; waitedMs += BEAT_MS) {
      clock.advance(BEAT_MS);
      await settle();
    }
    assert.deepEqual(ids(members), []);
    await members.leave();
  });

  test('an address that several of them say leads to none of them alone', () => {
    const rows = [
      note('a', { tunnelAddress: 'balancer:37373' }),
      note('b', { tunnelAddress: 'balancer:37373' }),
      note('c', { tunnelAddress: 'c:37373' }),
      note('d', { tunnelAddress: 'c:37373', state: 'draining' }),
    ];
    const found = toMembers(rows, 'a', 0).map(({ tunnelAddress }) => tunnelAddress);
    assert.deepEqual(found, [null, null, 'c:37373', null]);
  });

  test('what is no address of a gateway is none', () => {
    const said = [
      '10.0.0.1:9',
      '[fe80::1]:9',
      'gw.example:65535',
      'gw.example:99999',
      ':9',
      'gw.example',
      'a/b:9',
      null,
    ];
    const rows = said.map((peerAddress, n) => note(`${n}`, { peerAddress }));
    const found = toMembers(rows, 'a', 0).map(({ peerAddress }) => peerAddress);
    assert.deepEqual(found, [...said.slice(0, 3), null, null, null, null, null]);
  });

  test('what another release wrote and this one cannot read is a gateway that serves nothing', () => {
    for (const text of ['', 'null', '[]', '{"sessions":-1,"models":[]}', '{"sessions":1,"models":[["a"]]}']) {
      assert.deepEqual(decodeSummary(text), NOTHING);
    }
    const summary = { sessions: 2, models: [{ model: 'a', version: '1', sessions: 2, freeRows: 3, inFlightJobs: 4 }] };
    assert.deepEqual(decodeSummary(encodeSummary(summary)), summary);
    assert.deepEqual(decodeSummary('{"sessions":2,"models":[["a","1",2,3,4,"of a later release"]]}'), summary);
  });

  test('a summary of very many models is cut to what has room', () => {
    const models = Array.from({ length: 20_000 }, (_, n) => {
      return { model: `model-${n}`, version: '1', sessions: 1, freeRows: 1, inFlightJobs: 0 };
    });
    const read = decodeSummary(encodeSummary({ sessions: 9, models }));
    assert.equal(read.sessions, 9);
    assert.ok(read.models.length > 1_000 && read.models.length < 20_000);
  });
});
