/** Shows and changes the keys of webhooks in this machine's data folder; a gateway that runs notices within a second. */
import { systemClock } from '../../clock.ts';
import { createWebhookSecrets, webhookKeysPath, type WebhookSecrets } from '../../gateway/webhooks/secrets.ts';
import { loadConfig } from '../env.ts';

export interface SecretFlags {
  readonly caller: string;
  readonly json?: boolean;
}

function open(): WebhookSecrets {
  return createWebhookSecrets(webhookKeysPath(loadConfig().dataDir), systemClock);
}

export async function secret({ caller, json }: SecretFlags): Promise<void> {
  const key = await open().secretOf(caller);
  process.stdout.write(json === true ? `${JSON.stringify({ caller, key })}\n` : `${key}\n`);
}

export async function rotate(): Promise<void> {
  await open().rotate();
  process.stdout.write('Webhooks are signed with new secrets now; the ones before stay valid for 24 hours.\n');
}
