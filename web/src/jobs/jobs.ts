/**
 * The identifications of this browser that are under way: kept (records.ts), sent (send.ts), watched (watch.ts), and told
 * when they are decided. One owner for all pages; other tabs hear of every change and read the records again.
 *
 * A job is queued → sending → watched → decided, then gone; or refused, until somebody tries again or throws it away.
 */
import { PosternError } from '../../../src/errors.ts';
import type { Identification } from '../api/identifications.ts';
import { backOff, pause } from './pause.ts';
import { findRecords, type JobRecord, type Records } from './records.ts';
import { send } from './send.ts';
import { watch } from './watch.ts';

export type Phase = 'queued' | 'sending' | 'watched' | 'decided' | 'refused';

export interface Job {
  readonly key: string;
  readonly guide: string;
  readonly phase: Phase;
  readonly photos: readonly Blob[];
  readonly id: string | null;
  /** Of the sending, from 0 to 1. */
  readonly sent: number;
  readonly refusal: JobRecord['refusal'];
  readonly identification: Identification | null;
}

export interface Jobs {
  /** The present list, the oldest first; a new array whenever something changed. */
  readonly list: () => readonly Job[];
  readonly subscribe: (changed: () => void) => () => void;
  /** Reads what an earlier page left, and goes on with it. */
  start(): Promise<void>;
  /** Keeps the photos, then sends them. Resolves with the key when they are kept. */
  add(guide: string, photos: readonly Blob[]): Promise<string>;
  /** Watches one that this page knows by its address alone. */
  follow(identification: Identification): void;
  /** Its outcome was seen: it is done with. */
  seen(id: string): Promise<void>;
  tryAgain(key: string): Promise<void>;
  discard(key: string): Promise<void>;
}

export interface JobsOptions {
  /** Called with every news of an identification. */
  readonly onNews: (identification: Identification) => void;
  /** Called once for each that was decided while nobody looked at it. */
  readonly onDecided: (identification: Identification) => void;
}

/** As many as the gateway lets one person have undecided. */
export const MAX_JOBS = 20;
/** Errors that another try does not change. */
const isFinal = (error: unknown): error is PosternError => error instanceof PosternError && !error.retryable;

export function createJobs({ onNews, onDecided }: JobsOptions): Jobs {
  let records: Records | null = null;
  let jobs: readonly Job[] = [];
  const listeners = new Set<() => void>();
  const running = new Map<string, AbortController>();
  let wasRead: () => void = () => undefined;
  const firstRead = new Promise<void>((resolve) => (wasRead = resolve));
  const channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel('postern-jobs') : null;

  const publish = (next: readonly Job[]): void => {
    jobs = next;
    for (const listener of listeners) listener();
  };
  const change = (key: string, changed: Partial<Job>): void =>
    publish(jobs.map((job) => (job.key === key ? { ...job, ...changed } : job)));
  const drop = (key: string): void => {
    running.get(key)?.abort(new DOMException('discarded', 'AbortError'));
    running.delete(key);
    publish(jobs.filter((job) => job.key !== key));
  };
  const kept = async (): Promise<Records> => (records ??= await findRecords());
  const tell = (): void => channel?.postMessage('changed');

  function launch(key: string): void {
    if (running.has(key)) return;
    const control = new AbortController();
    running.set(key, control);
    void advance(key, control.signal)
      .catch((error: unknown) => {
        if (!control.signal.aborted) throw error;
      })
      .finally(() => {
        if (running.get(key) === control) running.delete(key);
      });
  }

  /** Sends it if it is not sent, then watches it to its end. */
  async function advance(key: string, signal: AbortSignal): Promise<void> {
    const id = jobs.find((job) => job.key === key)?.id ?? (await deliver(key, signal));
    if (id === null) return;
    change(key, { phase: 'watched', id });
    const decided = await watch({
      id,
      signal,
      onNews(identification) {
        change(key, { identification });
        onNews(identification);
      },
    });
    if (decided === null) {
      await (await kept()).remove(key);
      drop(key);
      return;
    }
    change(key, { phase: 'decided' });
    onDecided(decided);
  }

  /** The id that the gateway gave; null when it refused, or another tab was quicker. */
  async function deliver(key: string, signal: AbortSignal): Promise<string | null> {
    for (let failures = 0; ;) {
      try {
        return await alone(`postern-send-${key}`, async () => {
          const store = await kept();
          const record = await store.get(key);
          if (record === null) return null;
          if (record.id !== null) return record.id;
          change(key, { phase: 'sending', sent: 0 });
          const { guide, photos } = record;
          const onProgress = (sent: number): void => change(key, { sent });
          const identification = await send({ guide, key, photos, signal, onProgress });
          await store.put({ ...record, id: identification.id, photos: [], refusal: null });
          change(key, { id: identification.id, identification, sent: 1 });
          onNews(identification);
          tell();
          return identification.id;
        });
      } catch (error) {
        if (signal.aborted) throw error;
        if (isFinal(error)) {
          await refuse(key, error);
          return null;
        }
        failures += 1;
        change(key, { phase: 'queued', sent: 0 });
        const after_s = error instanceof PosternError ? error.retryAfterS : undefined;
        await pause(after_s === undefined ? backOff(failures) : Math.min(after_s, 60) * 1_000, signal);
      }
    }
  }

  async function refuse(key: string, { code, message }: PosternError): Promise<void> {
    const refusal = { code, detail: message };
    const store = await kept();
    const record = await store.get(key);
    if (record) await store.put({ ...record, refusal });
    change(key, { phase: 'refused', refusal });
  }

  /** Takes over what the records have, and lets go of what they no longer have. */
  async function read(): Promise<void> {
    const found = await (await kept()).all();
    const known = new Map(jobs.map((job) => [job.key, job]));
    for (const { key } of jobs) if (!found.some((record) => record.key === key)) drop(key);
    publish(found.map((record) => known.get(record.key) ?? jobOf(record)));
    for (const { key, phase } of jobs) if (phase !== 'refused' && phase !== 'decided') launch(key);
  }

  /** A page that was loaded anew knows it by its address before the records are read, and it may be one of these. */
  async function followUnknown(identification: Identification): Promise<void> {
    const { id, guide } = identification;
    const store = await kept();
    const found = await store.all();
    if (found.some((record) => record.id === id) || jobs.some((job) => job.id === id)) return;
    const record: JobRecord = { key: id, guide, created_ms: Date.now(), photos: [], id, refusal: null };
    publish([...jobs, { ...jobOf(record), identification }]);
    await store.put(record);
    launch(id);
  }

  return {
    list: () => jobs,
    subscribe(changed) {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
    async start() {
      channel?.addEventListener('message', () => void read());
      await read();
      wasRead();
    },
    async add(guide, photos) {
      if (jobs.length >= MAX_JOBS) throw new PosternError('quota_exceeded', `${jobs.length} are under way already`);
      const key = newKey();
      const record: JobRecord = { key, guide, created_ms: Date.now(), photos, id: null, refusal: null };
      await (await kept()).put(record);
      publish([...jobs, jobOf(record)]);
      launch(key);
      return key;
    },
    follow(identification) {
      if (identification.status !== 'decided') void firstRead.then(() => followUnknown(identification));
    },
    async seen(id) {
      const job = jobs.find((one) => one.id === id);
      if (job?.phase !== 'decided') return;
      drop(job.key);
      await (await kept()).remove(job.key);
      tell();
    },
    async tryAgain(key) {
      const store = await kept();
      const record = await store.get(key);
      if (record === null) return drop(key);
      await store.put({ ...record, refusal: null });
      change(key, { phase: 'queued', refusal: null });
      launch(key);
    },
    async discard(key) {
      drop(key);
      await (await kept()).remove(key);
      tell();
    },
  };
}

const jobOf = ({ key, guide, photos, id, refusal }: JobRecord): Job => ({
  key,
  guide,
  photos,
  id,
  refusal,
  phase: refusal !== null ? 'refused' : id === null ? 'queued' : 'watched',
  sent: 0,
  identification: null,
});

/** 128 random bits; crypto.randomUUID is missing on pages that are not served over HTTPS. */
const newKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

/** Two tabs do not send the same photos at the same time, where the browser has locks; the key makes it one anyway. */
async function alone<T>(name: string, what: () => Promise<T>): Promise<T> {
  if (!('locks' in navigator)) return what();
  return await navigator.locks.request(name, what);
}
