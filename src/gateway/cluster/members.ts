/**
 * The gateways that live: owner of this one's note in the database, and of the list of all. A gateway writes its note every
 * {@link BEAT_MS}; one whose note is older than {@link DEAD_MS} by the database's clock counts as dead. There is no other coordinator.
 *
 * A gateway that is cut from the database keeps the list that it had. When the database was away for everybody, the first who is back
 * finds only old notes: for one {@link DEAD_MS} it goes on to believe in those that it knew.
 *
 * Without a database the list is this gateway alone, and nothing is written.
 */
import type { Clock, Timer } from '../../clock.ts';
import { PosternError, toPosternError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { Store } from '../../store/store.ts';
import { encodeSummary, membershipKey, servedKey, toMembers, type Member, type Summary } from './member.ts';

export const BEAT_MS = 2_000;
export const DEAD_MS = 6_000;
/** Changes of one moment (a worker that announces ten models) are told together. */
const SOON_MS = 100;

export interface Addresses {
  readonly tunnelAddress: string | null;
  readonly peerAddress: string | null;
}

export interface MembersOptions {
  readonly self: string;
  readonly release: string;
  readonly store: Pick<Store, 'members' | 'onHint'>;
  readonly summary: () => Summary;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface MemberList {
  /** This gateway's id, as workers and other gateways know it. */
  readonly self: string;
  /** All that live, this one included. */
  readonly list: readonly Member[];
  /** The same without this one. */
  readonly others: readonly Member[];
  /** Called when one came or left, drains, or has another address. Returns what ends that. */
  onChange(observer: () => void): () => void;
}

export interface Members extends MemberList {
  /** From here on the others know of this gateway. Resolves also when the database cannot be reached now. */
  join(addresses: Addresses): Promise<void>;
  /** Nothing new is to be sent here. */
  drain(): void;
  /** Which workers are here may be another than before. */
  changed(): void;
  /**
   * The database has not answered for so long that this gateway is dead to the others: then nobody is to be sent here, though no call
   * that waits for an answer has given up yet. Null: it answers.
   */
  readonly fault: PosternError | null;
  /** The others forget this gateway at once. Twice, or without `join`, is fine. */
  leave(): Promise<void>;
}

export function createMembers(options: MembersOptions): Members {
  const { self, release, store, summary, clock, logger } = options;
  const book = store.members ?? null;
  const observers = new Set<() => void>();
  let addresses: Addresses = { tunnelAddress: null, peerAddress: null };
  let state: Member['state'] = 'serving';
  let joinedAt = clock.now();
  let others: readonly Member[] = [];
  let key = '';
  let told = '';
  let hasJoined = false;
  let isOver = false;
  let heardAt = -Infinity;
  let graceUntil = -Infinity;
  let isFailing = false;
  let beating: Timer | null = null;
  let soon: Timer | null = null;
  let last: Promise<void> = Promise.resolve();
  let beatInLine: Promise<void> | null = null;
  let lookInLine: Promise<void> | null = null;
  let endHints: () => void = () => undefined;

  const own = (): Member => {
    return { id: self, isSelf: true, release, state, ...addresses, joinedAt, heardAt: clock.monotonic(), ...summary() };
  };

  function apply(rows: Awaited<ReturnType<NonNullable<typeof book>['read']>>): void {
    const now = clock.monotonic();
    if (heardAt > -Infinity && now - heardAt > 2 * BEAT_MS) graceUntil = now + DEAD_MS;
    heardAt = now;
    const before = new Set(others.map(({ id }) => id));
    const live = rows.filter(({ id, ageMs }) => id === self || ageMs < DEAD_MS || (now < graceUntil && before.has(id)));
    const members = toMembers(live, self, now);
    others = members.filter(({ isSelf }) => !isSelf);
    joinedAt = members.find(({ isSelf }) => isSelf)?.joinedAt ?? joinedAt;
    const next = membershipKey(members);
    if (next === key) return;
    key = next;
    logger.info('gateways on this database', { gateways: members.map(({ id, state: of }) => `${id} ${of}`) });
    for (const observe of [...observers]) {
      try {
        observe();
      } catch (error) {
        logger.error('an observer of the gateways failed', { error: toPosternError(error).message });
      }
    }
  }

  /** One after another: an older answer must not replace a newer one. */
  function inTurn(step: () => Promise<void>): Promise<void> {
    last = last.then(step).then(
      () => void (isFailing = false),
      (error: unknown) => {
        if (!isFailing) logger.warn('the list of gateways cannot be renewed', { error: toPosternError(error).message });
        isFailing = true;
      },
    );
    return last;
  }

  /** One that waits for its turn says what is so by then: a second one would say the same. */
  const beat = (): Promise<void> => {
    beatInLine ??= inTurn(async () => {
      beatInLine = null;
      if (book === null || isOver || !hasJoined) return;
      const of = summary();
      const news = `${state} ${servedKey(of)}`;
      apply(await book.beat({ id: self, release, state, ...addresses, summary: encodeSummary(of) }));
      if (news === told) return;
      told = news;
      book.announce();
    });
    return beatInLine;
  };

  const look = (): void => {
    lookInLine ??= inTurn(async () => {
      lookInLine = null;
      if (book !== null && !isOver && hasJoined) apply(await book.read());
    });
  };

  function beatSoon(): void {
    if (book === null || !hasJoined || isOver) return;
    soon ??= clock.after(SOON_MS, () => {
      soon = null;
      void beat();
    });
  }

  async function leave(): Promise<void> {
    isOver = true;
    beating?.cancel();
    soon?.cancel();
    endHints();
    await last;
    // Who cannot say goodbye is dead to the others a moment later.
    if (hasJoined) await book?.leave(self).catch(() => undefined);
  }
  let leaving: Promise<void> | null = null;

  return {
    self,
    get list() {
      return [own(), ...others];
    },
    get others() {
      return others;
    },
    get fault() {
      const silentMs = clock.monotonic() - heardAt;
      if (heardAt === -Infinity || silentMs < DEAD_MS) return null;
      return new PosternError('storage_failed', `The database has not answered for ${Math.floor(silentMs / 1_000)} s.`);
    },
    onChange(observer) {
      observers.add(observer);
      return () => observers.delete(observer);
    },
    async join(given) {
      addresses = given;
      if (book === null || hasJoined) return;
      hasJoined = true;
      beating = clock.every(BEAT_MS, () => void beat());
      endHints =
        store.onHint?.((hint) => {
          if (hint.type === 'members') look();
        }) ?? endHints;
      await beat();
    },
    drain() {
      state = 'draining';
      void beat();
    },
    changed: beatSoon,
    leave() {
      leaving ??= leave();
      return leaving;
    },
  };
}
