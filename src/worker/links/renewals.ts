/**
 * Renewals of the certificate with several links: one link carries them, and only one whose session stands on the newest
 * certificate. Two questions with different keys about one certificate would look like two machines that share it, and lock the
 * worker; so a session that was opened with an older one never asks. It ends with that certificate, and dials with the new one.
 */
import type { SecureContext } from 'node:tls';
import type { LinkCredentials } from '../credentials.ts';
import type { Message } from '../../protocol/messages.ts';

interface Link {
  /** null: not connected. */
  send: ((message: Message) => void) | null;
  /** What its last dial used. */
  context: SecureContext | null;
  /** What its session was opened with, or null: it was given a newer one since. */
  opened: SecureContext | null;
}

/** Gives each link credentials of its own. */
export function shareCredentials(credentials: LinkCredentials): () => LinkCredentials {
  const links = new Set<Link>();
  /** What was in force when a newer certificate came. */
  const outdated = new WeakSet<SecureContext>();
  let newest: SecureContext | null = null;
  let asking: Link | null = null;

  const mayAsk = ({ send, opened }: Link): boolean => send !== null && (opened === null || !outdated.has(opened));

  function choose(): void {
    if (asking !== null) return;
    for (const link of links) {
      if (!mayAsk(link)) continue;
      asking = link;
      credentials.attach((message) => link.send?.(message));
      return;
    }
  }

  return () => {
    const link: Link = { send: null, context: null, opened: null };
    return {
      gateway: credentials.gateway,
      async context(signal) {
        const context = await credentials.context(signal);
        newest = context;
        link.context = context;
        return context;
      },
      attach(send) {
        link.send = send;
        link.opened = link.context;
        links.add(link);
        choose();
      },
      detach() {
        links.delete(link);
        link.send = null;
        if (asking !== link) return;
        asking = null;
        credentials.detach();
        choose();
      },
      onMessage(message) {
        if (asking !== link) return;
        if (message.type === 'renewed') {
          if (newest !== null) outdated.add(newest);
          link.opened = null;
        }
        credentials.onMessage(message);
      },
    };
  };
}
