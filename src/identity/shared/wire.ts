/** What the owner of the replica and the thread with the connection say to each other. */
import type { MessagePort } from 'node:worker_threads';

/** One committed change, as SQLite's session extension records it. Numbered from 1 without gaps. */
export interface Entry {
  readonly seq: number;
  readonly changes: Uint8Array;
}

/** How many steps of each area's tables have been taken. */
export type Areas = Readonly<Record<string, number>>;

/** All of the records as they were after entry `seq`. */
export interface Image {
  readonly seq: number;
  readonly areas: Areas;
  readonly bytes: Uint8Array;
}

/** What a replica at some position lacks. With an image, the entries are those after it. */
export interface News {
  readonly image: Image | null;
  readonly entries: readonly Entry[];
}

export type Request =
  /** Takes the right to write, for one change, and says what this replica lacks. */
  | { readonly type: 'begin'; readonly position: number }
  /** Ends what `begin` began. `image`: replaces the one that is kept, and the entries up to it. */
  | { readonly type: 'commit'; readonly entry: Entry | null; readonly image: Image | null }
  | { readonly type: 'abort' }
  /** What this replica lacks, without a right to write. */
  | { readonly type: 'read'; readonly position: number };

export type Answer =
  | {
      readonly type: 'news';
      readonly news: News;
      readonly sinceImage: { readonly entries: number; readonly bytes: number };
      /** Of the image that is kept; null: there is none. */
      readonly areas: Areas | null;
    }
  | { readonly type: 'done' }
  | { readonly type: 'failed'; readonly code: 'storage_failed' | 'config_invalid'; readonly message: string };

/** Whoever asks waits on `signal` for this answer, or listens for it. */
export interface Numbered<T> {
  readonly number: number;
  readonly body: T;
}

export interface ThreadData {
  readonly url: string;
  /** Of questions that are waited for; a 1 in `signal` says that an answer lies here. */
  readonly port: MessagePort;
  readonly signal: Int32Array<SharedArrayBuffer>;
}
