/** Both ends' identity without records: whoever the authority signed gets in, for every model, and nobody enrols. */
import { systemClock } from '../../src/clock.ts';
import { PosternError } from '../../src/errors.ts';
import type { GatewayIdentity } from '../../src/identity/identity.ts';
import { readWorkerCertificate } from '../../src/identity/peer.ts';
import type { TunnelIdentity } from '../../src/identity/tunnel-identity.ts';
import type { LinkCredentials } from '../../src/worker/credentials.ts';
import { createDialContext, OWN_GATEWAY } from '../../src/worker/dial.ts';

export function openToAll({ caPem, gateway }: Pick<GatewayIdentity, 'caPem' | 'gateway'>): TunnelIdentity {
  const refuse = (): Promise<never> =>
    Promise.reject(new PosternError('enrolment_refused', 'nobody enrols in this test'));
  return {
    tls: { ...gateway, trustPems: [caPem], crlPem: null },
    onTls: () => () => undefined,
    access: {
      admit: (certificate) => readWorkerCertificate(certificate, systemClock.now()),
      check: () => null,
      allows: () => true,
      isOut: () => false,
      heard: () => undefined,
      onChange: () => () => undefined,
    },
    enrolment: { join: refuse, renew: refuse },
  };
}

/** A worker's credentials that are never renewed. */
export function fixedCredentials(identity: { keyPem: string; certPem: string; caPem: string }): LinkCredentials {
  const context = createDialContext(identity);
  return {
    gateway: OWN_GATEWAY,
    context: () => Promise.resolve(context),
    attach: () => undefined,
    detach: () => undefined,
    onMessage: () => undefined,
  };
}
