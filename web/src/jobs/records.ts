/**
 * What this browser must not forget when its tab is closed: photos that are not sent yet, and identifications whose outcome
 * nobody has seen. In IndexedDB, because photos are blobs.
 */
export interface JobRecord {
  /** Made here; the idempotency key of the sending, so that sending twice is sending once. */
  readonly key: string;
  readonly guide: string;
  readonly created_ms: number;
  /** Empty once they are sent. */
  readonly photos: readonly Blob[];
  /** Of the identification, once the gateway has it. */
  readonly id: string | null;
  /** Why the gateway refused it; the photos are kept until somebody decides. */
  readonly refusal: { readonly code: string; readonly detail: string } | null;
}

export interface Records {
  all(): Promise<readonly JobRecord[]>;
  get(key: string): Promise<JobRecord | null>;
  put(record: JobRecord): Promise<void>;
  remove(key: string): Promise<void>;
}

const NAME = 'postern-field-guide';
const STORE = 'jobs';

export function openRecords(): Records {
  let opened: Promise<IDBDatabase> | null = null;
  const open = (): Promise<IDBDatabase> => {
    opened ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(NAME, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'key' });
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error ?? new Error('IndexedDB does not open'));
    });
    return opened;
  };
  async function run<T>(mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const transaction = (await open()).transaction(STORE, mode);
    const request = ask(transaction.objectStore(STORE));
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error ?? new Error('IndexedDB gave up'));
    });
  }
  return {
    async all() {
      const records = await run<JobRecord[]>('readonly', (store) => store.getAll() as IDBRequest<JobRecord[]>);
      return records.sort((a, b) => a.created_ms - b.created_ms);
    },
    get: async (key) =>
      (await run<JobRecord | undefined>('readonly', (store) => store.get(key) as IDBRequest<JobRecord | undefined>)) ??
      null,
    put: async (record) => void (await run('readwrite', (store) => store.put(record))),
    remove: (key) => run('readwrite', (store) => store.delete(key)),
  };
}

/** Where storage is refused (some private windows), the photos live as long as the page. */
export function memoryRecords(): Records {
  const records = new Map<string, JobRecord>();
  return {
    all: () => Promise.resolve([...records.values()]),
    get: (key) => Promise.resolve(records.get(key) ?? null),
    put: (record) => Promise.resolve(void records.set(record.key, record)),
    remove: (key) => Promise.resolve(void records.delete(key)),
  };
}

export async function findRecords(): Promise<Records> {
  const records = openRecords();
  try {
    await records.all();
    return records;
  } catch {
    return memoryRecords();
  }
}
