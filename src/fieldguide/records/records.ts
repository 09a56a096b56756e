/**
 * The Records port: what the field guide remembers. Identifications with their photos (keys of blobs, never bytes), who found and read
 * about what, and snapshots of the ranking. Drivers: `sqlite.ts`, `postgres.ts`, with one set of queries; `records.suite.ts` is the contract.
 *
 * Several gateways may write at once, so that every change says what it expects to find, and answers whether it found it.
 */
import type { Service } from '../../service.ts';
import type { Outcome, PhotoResult } from '../identify/outcome.ts';

/** SHA-256 of an owner's token, hexadecimal. */
export type OwnerId = string;

export interface Photo {
  readonly n: number;
  readonly width: number;
  readonly height: number;
  /** Keys of blobs; null once the photos have expired. */
  readonly blob: string | null;
  readonly thumb: string | null;
  /** The prediction that looks at it in this round; null: none was made yet. */
  readonly job: string | null;
  readonly result: PhotoResult | null;
}

export interface Feedback {
  readonly verdict: 'right' | 'wrong';
  readonly entry: string | null;
  /** Epoch ms. */
  readonly at: number;
}

export interface Share {
  readonly token: string;
  readonly photos: boolean;
}

/** `arriving`: its photos are being stored, and nobody has its id. `open`: not decided. */
export type State = 'arriving' | 'open' | 'decided';

export interface Identification {
  readonly id: string;
  readonly guide: string;
  readonly owner: OwnerId;
  readonly state: State;
  /** Begins with 1; each retry is another one. */
  readonly round: number;
  readonly createdAt: number;
  readonly decidedAt: number | null;
  readonly photosExpireAt: number;
  readonly expiresAt: number;
  readonly outcome: Outcome | null;
  readonly feedback: Feedback | null;
  readonly share: Share | null;
  readonly photos: readonly Photo[];
}

export interface NewIdentification {
  readonly id: string;
  readonly guide: string;
  readonly owner: OwnerId;
  readonly createdAt: number;
  readonly photosExpireAt: number;
  readonly expiresAt: number;
  /** The owner's own; null: none. */
  readonly idempotencyKey: string | null;
  readonly photos: readonly {
    readonly width: number;
    readonly height: number;
    readonly blob: string;
    readonly thumb: string;
  }[];
}

export interface InsertLimits {
  /** Of this owner. */
  readonly maxUndecided: number;
  readonly maxOwned: number;
  /** Of everybody, in this guide. */
  readonly maxWaiting: number;
}

export type Inserted =
  | { readonly type: 'inserted' }
  /** The owner used the idempotency key before. */
  | { readonly type: 'existing'; readonly id: string }
  | { readonly type: 'refused'; readonly by: keyof InsertLimits };

/** A place in a list, newest first. */
export interface ListPlace {
  readonly createdAt: number;
  readonly id: string;
}

export type SightingKind = 'find' | 'view';

export interface Sighting {
  readonly guide: string;
  readonly kind: SightingKind;
  readonly entry: string;
  readonly visitor: OwnerId;
  readonly at: number;
}

export interface EntryCount {
  readonly entry: string;
  readonly count: number;
}

export interface Snapshot {
  readonly id: string;
  readonly madeAt: number;
  /** JSON, as `ranking/` wrote it. */
  readonly items: string;
}

/** What is removed gives back the blobs that it named. */
export interface Removed {
  readonly blobs: readonly string[];
  /** All its predictions of the present round. */
  readonly jobs: readonly string[];
  /** Those of them without a result. */
  readonly undecidedJobs: readonly string[];
}

export interface Records extends Service {
  /** Counts and inserts in one step. The photos are not stored yet: state `arriving`. */
  insert(identification: NewIdentification, limits: InsertLimits): Promise<Inserted>;
  /** Its photos are stored: `arriving` → `open`. */
  arrived(id: string): Promise<void>;
  get(id: string): Promise<Identification | null>;
  list(owner: OwnerId, limit: number, after: ListPlace | null): Promise<Identification[]>;
  shared(token: string): Promise<Identification | null>;
  /** Not decided, in the order of their ids. */
  undecided(limit: number, after: string | null): Promise<Identification[]>;
  /** A prediction was made for photo `n`, in place of `instead`. False: something else is there by now. */
  assign(id: string, round: number, n: number, job: string | null, instead: string | null): Promise<boolean>;
  /** Once a photo and round. */
  result(id: string, round: number, n: number, result: PhotoResult): Promise<void>;
  /** Once a round; false: it was decided, or is gone. `find`: the entry that counts as found. */
  decide(id: string, round: number, outcome: Outcome, find: string | null, at: number): Promise<boolean>;
  /** `decided` → `open` in a new round, all results forgotten. False: it was not decided in that round. */
  reopen(id: string, round: number): Promise<boolean>;
  /** null takes it back. `find`: what counts as found from now on. */
  feedback(id: string, feedback: Feedback | null, find: string | null): Promise<void>;
  /** null ends it. */
  share(id: string, share: Share | null): Promise<void>;
  remove(id: string): Promise<Removed | null>;
  /** Of all that an owner has. */
  jobsOf(owner: OwnerId): Promise<readonly string[]>;
  /** All of an owner, who is forgotten as well. */
  removeOwner(owner: OwnerId): Promise<Removed>;
  isBlobUsed(key: string): Promise<boolean>;

  /** The owner was seen. True: for the first time. */
  seen(owner: OwnerId, at: number): Promise<boolean>;
  knows(owner: OwnerId): Promise<boolean>;
  sight(sightings: readonly Sighting[]): Promise<void>;
  /** Visitors since then, each once an entry; null: ever. */
  counts(guide: string, kind: SightingKind, since: number | null): Promise<EntryCount[]>;
  /** The newest, or the one with this id. */
  snapshot(guide: string, window: string, id: string | null): Promise<Snapshot | null>;
  /** Keeps it, and of its guide and window only those made after `keepSince`. */
  keepSnapshot(guide: string, window: string, snapshot: Snapshot, keepSince: number): Promise<void>;

  /** Photos whose time is over lose their keys. At most `limit` identifications. */
  expirePhotos(now: number, limit: number): Promise<Removed>;
  /** Removes identifications whose time is over, and those that never arrived since `arrivingBefore`. */
  expire(now: number, arrivingBefore: number, limit: number): Promise<Removed>;
  /** Owners not seen since then are forgotten; what they found stays as a number. At most `limit`. */
  forgetOwners(seenBefore: number, limit: number): Promise<number>;
}
