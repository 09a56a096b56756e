/** Notifications of the browser. They are asked for on a click alone, and only after a first identification was sent. */
import { useSyncExternalStore } from 'react';

export type Permission = NotificationPermission | 'unsupported';

const listeners = new Set<() => void>();

export const permission = (): Permission => ('Notification' in globalThis ? Notification.permission : 'unsupported');

export async function askPermission(): Promise<void> {
  if (permission() === 'default') await Notification.requestPermission();
  for (const listener of listeners) listener();
}

export const usePermission = (): Permission =>
  useSyncExternalStore((changed) => {
    listeners.add(changed);
    return () => listeners.delete(changed);
  }, permission);

export interface Notice {
  readonly title: string;
  readonly body: string;
  /** Where a click leads. */
  readonly path: string;
  /** A second one with it replaces the first. */
  readonly tag: string;
}

/** Through the service worker where there is one: on phones there is no other way. */
export async function notify({ title, body, path, tag }: Notice, go: (path: string) => void): Promise<void> {
  if (permission() !== 'granted') return;
  const options = { body, tag, icon: '/icons/icon-192.png', data: { path } };
  const { serviceWorker } = navigator as Partial<Navigator>;
  const registration = await serviceWorker?.getRegistration();
  if (registration?.active) return registration.showNotification(title, options);
  const shown = new Notification(title, options);
  shown.onclick = () => {
    window.focus();
    shown.close();
    go(path);
  };
}
