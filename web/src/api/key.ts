/**
 * The API key, where the gateway asks for one to send photos: it lives as long as its tab, in no address and in no lasting
 * place.
 */
const STORED = 'postern.key';

export function apiKey(): string | null {
  try {
    return sessionStorage.getItem(STORED);
  } catch {
    return null;
  }
}

export function setApiKey(key: string | null): void {
  try {
    if (key === null) sessionStorage.removeItem(STORED);
    else sessionStorage.setItem(STORED, key);
  } catch {
    // Without storage it is asked for again with the next photo.
  }
}
