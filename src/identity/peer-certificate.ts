/**
 * The certificate by which this gateway process knows itself to the others: made by itself from the authority that all of them
 * have, with its id as the only name, and for both ends of a connection. Owner of the present one. A worker's certificate, a
 * gateway's for its tunnel port and one of these are never taken for each other: each has another name and another purpose.
 */
import type { Clock, Timer } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { createService, type Service } from '../service.ts';
import type { KeyAndCertificate } from './certificate.ts';
import { gatewayUri } from './peer.ts';
import type { OpenTunnelIdentity } from './tunnel-identity.ts';

/** Kept in memory alone. Long enough for a gateway whose clock or disk fails for days. */
const TTL_MS = 7 * 86_400_000;
const RENEW_MS = 86_400_000;

export interface PeerTls extends KeyAndCertificate {
  readonly trustPems: readonly string[];
}

export interface PeerCertificate extends Service {
  /** After start; null: this installation's authority is another one, which signs nothing here. */
  readonly tls: PeerTls | null;
  /** Called when `tls` is another than before. Returns what ends that. */
  onTls(observer: () => void): () => void;
}

export interface PeerCertificateOptions {
  /** The gateway's id. */
  readonly id: string;
  readonly identity: Pick<OpenTunnelIdentity, 'pki' | 'onTls'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export function createPeerCertificate({ id, identity, clock, logger }: PeerCertificateOptions): PeerCertificate {
  const observers = new Set<() => void>();
  let tls: PeerTls | null = null;
  let renewing: Timer | undefined;
  let endTls: () => void = () => undefined;
  let last: Promise<void> = Promise.resolve();

  /** One after another: one of an older authority must not replace a newer one. */
  function make(): Promise<void> {
    const made = last.then(makeNow);
    last = made.catch(() => undefined);
    return made;
  }

  async function makeNow(): Promise<void> {
    const { authorities, tls: tunnel } = identity.pki;
    const [present] = authorities;
    if (present === undefined) return;
    const names = [{ type: 'url', value: gatewayUri(id) }] as const;
    const made = await present.issue({ commonName: id, names, purpose: ['serverAuth', 'clientAuth'], ttlMs: TTL_MS });
    tls = { ...made, trustPems: tunnel.trustPems };
    for (const observe of [...observers]) observe();
  }

  const renew = (): void => {
    // The one before counts for days.
    make().catch((error: unknown) => logger.error('the certificate for other gateways could not be made', { error }));
  };

  const service = createService({
    async start() {
      await make();
      renewing = clock.every(RENEW_MS, renew);
      endTls = identity.onTls(renew);
    },
    stop() {
      renewing?.cancel();
      endTls();
      return Promise.resolve();
    },
  });

  return {
    ...service,
    get tls() {
      return tls;
    },
    onTls(observer) {
      observers.add(observer);
      return () => observers.delete(observer);
    },
  };
}
