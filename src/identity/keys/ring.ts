/**
 * The keys of a running gateway, in memory: a request is never checked against the database. Owner of what a key has left of
 * its rate, and of which keys were used since that was last written down.
 *
 * A key does not change after it was made; it only ends. So a refresh keeps the object of every key that is still there, and
 * with it its bucket; whoever holds on to the object of an ended key is told by `onEnded`.
 */
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { parseKeyWish, stateOf, type CheckedKey, type Scope } from './key.ts';
import { digestOf, equalDigests, faultOf, idOf, makeToken } from './token.ts';

/** Compared with when there is no such key, so that an unknown id takes as long as a known one. */
const NO_DIGEST = '0'.repeat(64);

/** One key of one gateway, as its requests see it. */
export class HeldKey {
  /** The id: the unit of ownership, fairness and quota. */
  readonly caller: string;
  readonly name: string;
  readonly admin: boolean;
  readonly scopes: ReadonlySet<Scope>;
  readonly models: ReadonlySet<string> | null;
  readonly maxUndecidedJobs: number | null;
  /** Used since the last `takeUsed`. */
  isUsed = false;
  record: CheckedKey;
  readonly #ratePerMs: number;
  readonly #burst: number;
  #tokens: number;
  /** Monotonic. */
  #filledAt = 0;

  constructor(record: CheckedKey) {
    this.record = record;
    this.caller = record.id;
    this.name = record.name;
    this.scopes = new Set(record.scopes);
    this.admin = this.scopes.has('admin');
    this.models = record.models === null ? null : new Set(record.models);
    this.maxUndecidedJobs = record.maxUndecidedJobs;
    this.#ratePerMs = record.ratePerS === null ? 0 : record.ratePerS / 1000;
    this.#burst = record.ratePerS === null ? 0 : (record.burstRequests ?? Math.max(1, Math.floor(record.ratePerS)));
    this.#tokens = this.#burst;
  }

  get hasRate(): boolean {
    return this.#burst > 0;
  }

  /** Takes one request out of the bucket: 0, or the milliseconds until there is one. */
  take(monotonicMs: number): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + (monotonicMs - this.#filledAt) * this.#ratePerMs);
    this.#filledAt = monotonicMs;
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return 0;
    }
    return (1 - this.#tokens) / this.#ratePerMs;
  }
}

export interface KeyRing {
  /** True once a key was made, ended ones included: then nobody is let in without one. Revoking the last key opens nothing. */
  readonly isClosed: boolean;
  /** The key of this token. Throws unauthorized, and says why as far as the sender may know. */
  check(token: string): HeldKey;
  /** The key with this id, while it counts. */
  find(id: string): HeldKey | null;
  /** Makes a key that lives in this ring alone, and returns its token. It does not count for `isClosed`. */
  lend(scopes: readonly Scope[]): string;
  /** What the database says now. */
  refresh(records: readonly CheckedKey[]): void;
  /** Ends the keys whose time is over. */
  expire(): void;
  /** Ids of the keys that were used since the last call. */
  takeUsed(): string[];
  /** Calls `observer` with every key that ends while it is held; returns what takes it off. */
  onEnded(observer: (key: HeldKey) => void): () => void;
}

/** `notice` is asked before a key is refused as unknown: it may have been made a moment ago, by a command. */
export function createKeyRing(clock: Clock, notice: () => void = () => undefined): KeyRing {
  let live = new Map<string, HeldKey>();
  /** Ended ones, so that their holders hear what happened. */
  let ended = new Map<string, CheckedKey>();
  const lent = new Map<string, HeldKey>();
  const observers = new Set<(key: HeldKey) => void>();

  function end(key: HeldKey): void {
    live.delete(key.caller);
    ended.set(key.caller, key.record);
    for (const observer of observers) observer(key);
  }

  function refuse(token: string, record: CheckedKey | undefined): PosternError {
    const why =
      faultOf(token) ??
      (record === undefined
        ? 'it is not known here. Does it belong to another gateway?'
        : record.revokedAt !== null
          ? 'it was revoked'
          : 'its time is over');
    return new PosternError('unauthorized', `The API key cannot be used: ${why.replace(/\.?$/, '.')}`);
  }

  return {
    get isClosed() {
      return live.size > 0 || ended.size > 0;
    },
    check(token) {
      const id = idOf(token);
      if (!live.has(id) && !lent.has(id) && !ended.has(id) && faultOf(token) === null) notice();
      const key = live.get(id) ?? lent.get(id);
      const record = key?.record ?? ended.get(id);
      const isRight = equalDigests(digestOf(token), record?.digest ?? NO_DIGEST);
      if (key === undefined || !isRight) throw refuse(token, isRight ? record : undefined);
      const { expiresAt } = key.record;
      if (expiresAt !== null && expiresAt <= clock.now()) {
        end(key);
        throw refuse(token, key.record);
      }
      key.isUsed = true;
      return key;
    },
    lend(scopes) {
      const { id, token } = makeToken();
      const record = {
        ...parseKeyWish({ name: 'the gateway itself', scopes: [...scopes] }, clock.now()),
        ...{ id, digest: digestOf(token), createdAt: clock.now(), createdBy: 'gateway' },
        ...{ revokedAt: null, lastUsedAt: null },
      };
      lent.set(id, new HeldKey(record));
      return token;
    },
    find: (id) => live.get(id) ?? null,
    refresh(records) {
      const now = clock.now();
      const before = live;
      live = new Map();
      ended = new Map();
      for (const record of records) {
        if (stateOf(record, now) !== 'active') {
          ended.set(record.id, record);
          continue;
        }
        const held = before.get(record.id) ?? new HeldKey(record);
        held.record = record;
        live.set(record.id, held);
      }
      for (const [id, key] of before) if (!live.has(id)) for (const observer of observers) observer(key);
    },
    expire() {
      const now = clock.now();
      for (const key of live.values()) if (stateOf(key.record, now) === 'expired') end(key);
    },
    takeUsed() {
      const used: string[] = [];
      for (const key of live.values()) {
        if (!key.isUsed) continue;
        key.isUsed = false;
        used.push(key.caller);
      }
      return used;
    },
    onEnded(observer) {
      observers.add(observer);
      return () => observers.delete(observer);
    },
  };
}
