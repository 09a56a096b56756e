/** Identifications as their owners use them: send, read, wait, say whether it was right, share, forget. */
import { randomBytes } from 'node:crypto';
import { PosternError } from '../../errors.ts';
import type { AppHost } from '../../gateway/ports.ts';
import type { Guide } from '../guide/guide.ts';
import { keyOf, type Photos } from '../photos/photos.ts';
import type { Preparer } from '../photos/preparer.ts';
import type { PreparedPhoto } from '../photos/prepare.ts';
import type { Feedback, Identification, InsertLimits, ListPlace, OwnerId, Photo, Records } from '../records/records.ts';
import type { Clear } from './clear.ts';
import { findOf } from './decide.ts';
import type { Follow } from './follow.ts';
import { INSERT_LIMITS, MAX_WAITERS, WAIT_LOOK_MS } from './limits.ts';

export interface NewPhotos {
  readonly guide: Guide;
  readonly owner: OwnerId;
  readonly idempotencyKey: string | null;
  readonly files: readonly Uint8Array[];
}

export interface Identifications {
  /** Resolves when it is durable. Throws what photos are refused with, quota_exceeded, queue_full, storage_full, …. */
  create(photos: NewPhotos): Promise<Identification>;
  /** Throws identification_not_found, also for somebody else's. */
  get(owner: OwnerId | null, id: string): Promise<Identification>;
  /** Calls `look` until it gives something, at news and now and then, or the time is over, or the signal is aborted. */
  wait<T>(id: string, timeoutMs: number, signal: AbortSignal, look: () => Promise<T | null>): Promise<T | null>;
  list(owner: OwnerId, limit: number, after: ListPlace | null): Promise<Identification[]>;
  remove(owner: OwnerId | null, id: string): Promise<void>;
  removeAll(owner: OwnerId): Promise<void>;
  retry(owner: OwnerId | null, id: string): Promise<Identification>;
  feedback(owner: OwnerId | null, id: string, feedback: Omit<Feedback, 'at'> | null): Promise<Identification>;
  share(owner: OwnerId | null, id: string, photos: boolean): Promise<Identification>;
  unshare(owner: OwnerId | null, id: string): Promise<void>;
  /** Throws share_not_found. */
  shared(token: string): Promise<Identification>;
}

export interface IdentificationsOptions {
  readonly host: AppHost;
  readonly records: Records;
  readonly photos: Photos;
  readonly preparer: Preparer;
  readonly follow: Follow;
  readonly clear: Clear;
  readonly photoTtlMs: number;
  readonly recordTtlMs: number;
}

/** 16 random bytes: an id tells nothing and cannot be guessed. */
const ID = /^[A-Za-z0-9_-]{22}$/;
const jobsOf = (photos: readonly Photo[]): string[] => photos.flatMap(({ job }) => job ?? []);
const newId = (): string => randomBytes(16).toString('base64url');

export function createIdentifications(options: IdentificationsOptions): Identifications {
  const { records, photos, preparer, follow, clear } = options;
  const { clock } = options.host;
  let waiters = 0;

  async function get(owner: OwnerId | null, id: string): Promise<Identification> {
    const found = owner !== null && ID.test(id) ? await records.get(id) : null;
    if (found !== null && found.owner === owner && found.state !== 'arriving') return found;
    throw new PosternError('identification_not_found', 'You have no identification with this id.');
  }

  /** One after the other, so that a sender of five takes no more of the decoder than one of one. */
  async function prepareAll(files: readonly Uint8Array[]): Promise<PreparedPhoto[]> {
    const prepared: PreparedPhoto[] = [];
    for (const [index, file] of files.entries()) {
      try {
        prepared.push(await preparer.prepare(file));
      } catch (thrown) {
        if (!(thrown instanceof PosternError) || thrown.retryable) throw thrown;
        throw new PosternError(thrown.code, `photo ${index + 1}: ${thrown.message}`, { cause: thrown });
      }
    }
    return prepared;
  }

  async function create({ guide, owner, idempotencyKey, files }: NewPhotos): Promise<Identification> {
    const prepared = await prepareAll(files);
    const contents = new Map(
      prepared.flatMap(({ photo, thumb }) => [photo, thumb].map((bytes) => [keyOf(bytes), bytes])),
    );
    const id = newId();
    const createdAt = clock.now();
    const inserted = await records.insert(
      {
        id,
        guide: guide.id,
        owner,
        createdAt,
        photosExpireAt: createdAt + options.photoTtlMs,
        expiresAt: createdAt + Math.max(options.recordTtlMs, options.photoTtlMs),
        idempotencyKey,
        photos: prepared.map(({ photo, thumb, width, height }) => ({
          width,
          height,
          blob: keyOf(photo),
          thumb: keyOf(thumb),
        })),
      },
      INSERT_LIMITS,
    );
    if (inserted.type === 'refused') throw refusal(inserted.by);
    if (inserted.type === 'existing') return await existing(owner, inserted.id);
    try {
      await photos.keep([...contents.values()]);
      await records.arrived(id);
    } catch (error) {
      const removed = await records.remove(id);
      await photos.drop(removed?.blobs ?? []);
      throw error;
    }
    // It is durable, and whatever happens here happens again later.
    await follow.reconcile(id, contents).catch(() => undefined);
    return await get(owner, id);
  }

  async function existing(owner: OwnerId, id: string): Promise<Identification> {
    const found = await records.get(id);
    if (found !== null && found.state !== 'arriving') return await get(owner, id);
    throw new PosternError('overloaded', 'These photos are arriving already. Ask again.', { retryAfterS: 1 });
  }

  return {
    create,
    get,
    async wait(id, timeoutMs, signal, look) {
      const first = await look();
      if (first !== null || timeoutMs <= 0 || waiters >= MAX_WAITERS) return first;
      waiters += 1;
      const until = clock.monotonic() + timeoutMs;
      let wake: () => void = () => undefined;
      const off = follow.listen(id, () => wake());
      const onAbort = (): void => wake();
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        while (!signal.aborted) {
          const leftMs = until - clock.monotonic();
          if (leftMs <= 0) return null;
          await new Promise<void>((resolve) => {
            const timer = clock.after(Math.min(leftMs, WAIT_LOOK_MS), resolve);
            wake = () => {
              timer.cancel();
              resolve();
            };
          });
          const found = await look();
          if (found !== null) return found;
        }
        return null;
      } finally {
        waiters -= 1;
        off();
        signal.removeEventListener('abort', onAbort);
      }
    },
    list: (owner, limit, after) => records.list(owner, limit, after),
    async remove(owner, id) {
      // First what only the records lead to: should this fail, it can be asked for again.
      await clear.inputs(jobsOf((await get(owner, id)).photos));
      const removed = await records.remove(id);
      follow.forget(id);
      if (removed !== null) await clear.removed(removed);
    },
    async removeAll(owner) {
      await clear.inputs(await records.jobsOf(owner));
      await clear.removed(await records.removeOwner(owner));
    },
    async retry(owner, id) {
      const { outcome, round, photos: its } = await get(owner, id);
      if (outcome?.type !== 'failed' || !outcome.retryable) {
        throw new PosternError('bad_request', 'Only what failed, and may do better another time, is tried again.');
      }
      if (its.some(({ blob }) => blob === null)) {
        throw new PosternError('photo_not_found', 'The photos have expired: send them again.');
      }
      // The records forget these predictions, and the photos are at hand for the next ones.
      await clear.inputs(jobsOf(its));
      if (await records.reopen(id, round)) await follow.reconcile(id);
      return await get(owner, id);
    },
    async feedback(owner, id, feedback) {
      const { outcome } = await get(owner, id);
      if (outcome === null) throw new PosternError('not_decided', 'There is no outcome yet that could be right.');
      const entry = feedback?.entry ?? (feedback?.verdict === 'right' ? firstOf(outcome) : null);
      const noted = feedback === null ? null : { verdict: feedback.verdict, entry, at: clock.now() };
      await records.feedback(id, noted, findOf(outcome, feedback?.verdict ?? null));
      return await get(owner, id);
    },
    async share(owner, id, withPhotos) {
      const { share, outcome } = await get(owner, id);
      if (outcome === null) throw new PosternError('not_decided', 'There is no outcome yet that could be shared.');
      await records.share(id, { token: share?.token ?? newId(), photos: withPhotos });
      return await get(owner, id);
    },
    async unshare(owner, id) {
      await get(owner, id);
      await records.share(id, null);
    },
    async shared(token) {
      const found = ID.test(token) ? await records.shared(token) : null;
      if (found?.outcome) return found;
      throw new PosternError('share_not_found', 'Nothing is shared under this link, or no longer.');
    },
  };
}

function firstOf(outcome: NonNullable<Identification['outcome']>): string | null {
  return outcome.type === 'failed' ? null : (outcome.candidates[0]?.entry ?? null);
}

function refusal(by: keyof InsertLimits): PosternError {
  switch (by) {
    case 'maxUndecided':
      return new PosternError(
        'quota_exceeded',
        `${INSERT_LIMITS.maxUndecided} of your identifications are not decided yet. Wait for them.`,
        { retryAfterS: 10 },
      );
    case 'maxOwned':
      return new PosternError(
        'quota_exceeded',
        `You have ${INSERT_LIMITS.maxOwned} identifications. Delete some of them.`,
        { retryAfterS: 3_600 },
      );
    case 'maxWaiting':
      return new PosternError('queue_full', 'Too many photos wait already. Try again later.', { retryAfterS: 30 });
    default:
      return by satisfies never;
  }
}
