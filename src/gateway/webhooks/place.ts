/** Where the keys of webhooks are: in a file of this machine, or in the records that gateways on one database share. */
import { join } from 'node:path';
import type { Clock } from '../../clock.ts';
import { appendAudit, prepareAudit } from '../../identity/audit.ts';
import type { Authority } from '../../identity/authority.ts';
import type { Records } from '../../identity/records.ts';
import { createWebhookSecrets, readMasters, type WebhookSecrets } from './secrets.ts';
import { createSharedWebhookSecrets } from './shared-secrets.ts';

export const webhookKeysPath = (dataDir: string): string => join(dataDir, 'identity', 'webhook-keys.json');

export interface GatewaySecretsOptions {
  readonly dataDir: string;
  /** The records are those of several gateways. */
  readonly isShared: boolean;
  readonly records: Records;
  /** Those that are trusted now, the present one first. None: the certificates are another authority's. */
  readonly authorities: () => readonly Authority[];
  readonly clock: Clock;
}

export function createGatewaySecrets(options: GatewaySecretsOptions): WebhookSecrets {
  const { dataDir, isShared, records, authorities, clock } = options;
  const path = webhookKeysPath(dataDir);
  // With another authority's files there is no key that all gateways have and nobody else: the file is copied then.
  if (!isShared || authorities().length === 0) {
    return createWebhookSecrets(path, clock, ({ actor, at }) => {
      prepareAudit(records);
      records.write((db) => appendAudit(db, { actor, at, action: 'webhooks.rotate', target: '', detail: {} }));
    });
  }
  return createSharedWebhookSecrets({ records, authorities, seed: () => readMasters(path), clock });
}
