/** Calls of the page to its gateway, by the client that everybody uses: problems become PosternErrors, reads are tried again. */
import { DEFAULT_RETRY, send, type Call, type Transport } from '../../../src/client/http.ts';

const transport: Transport = {
  base: '',
  apiKey: null,
  fetch: (input, init) => fetch(input, init),
  // react-query asks again too; two tries here bridge a connection that broke off.
  retry: { ...DEFAULT_RETRY, maxAttempts: 2 },
  random: Math.random,
  delay: (delayMs, signal) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, delayMs);
      signal?.addEventListener('abort', () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      });
    }),
};

export const call = (what: Call): Promise<Response> => send(transport, what);

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await call({ method: 'GET', path, repeatable: true, signal });
  return (await response.json()) as T;
}

/** Sends a small value; what is sent this way may be sent twice. */
export async function postJson<T>(path: string, value?: unknown): Promise<T | null> {
  const body = value === undefined ? undefined : new Blob([JSON.stringify(value)], { type: 'application/json' });
  const headers = body === undefined ? undefined : { 'content-type': 'application/json' };
  const response = await call({ method: 'POST', path, body, headers, repeatable: true });
  return response.status === 204 ? null : ((await response.json()) as T);
}

export const remove = (path: string): Promise<Response> => call({ method: 'DELETE', path, repeatable: true });
