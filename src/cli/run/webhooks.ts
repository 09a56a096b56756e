/** Deliveries are asked of the gateway; the keys lie in this machine's data folder or in the records of all gateways, and those that run notice changes. */
import { systemClock } from '../../clock.ts';
import { createGatewaySecrets, type GatewaySecretsOptions } from '../../gateway/webhooks/place.ts';
import type { WebhookSecrets } from '../../gateway/webhooks/secrets.ts';
import type { WebhookDelivery } from '../../client/shapes.ts';
import { withIdentity } from '../gateway-identity.ts';
import { loadConfig } from '../env.ts';
import { commandAct, openControlRecords, type CommandAct } from '../control-records.ts';
import { clientFor, type CallerOptions } from '../options.ts';
import { duration, paint, printable, table } from '../terminal.ts';

export interface SecretFlags {
  readonly caller: string;
  readonly json?: boolean;
}

export interface ListFlags extends CallerOptions {
  readonly status?: WebhookDelivery['status'];
  readonly limit: number;
}

type Use<T> = (secrets: WebhookSecrets, act: CommandAct) => Promise<T>;

async function withSecrets<T>(use: Use<T>): Promise<T> {
  const config = loadConfig();
  const { dataDir } = config;
  if (config.databaseUrl !== null) {
    return withIdentity(async ({ records, identity: { pki }, act }) => {
      const authorities = (): typeof pki.authorities => pki.authorities;
      return opened({ dataDir, isShared: true, records, authorities, clock: systemClock }, act, use);
    });
  }
  const records = openControlRecords(config);
  try {
    const place = { dataDir, isShared: false, records, authorities: () => [], clock: systemClock };
    return await opened(place, commandAct(), use);
  } finally {
    records.close();
  }
}

async function opened<T>(place: GatewaySecretsOptions, act: CommandAct, use: Use<T>): Promise<T> {
  const secrets = createGatewaySecrets(place);
  await secrets.open();
  return use(secrets, act);
}

export async function secret({ caller, json }: SecretFlags): Promise<void> {
  const key = await withSecrets((secrets) => secrets.secretOf(caller));
  process.stdout.write(json === true ? `${JSON.stringify({ caller, key })}\n` : `${key}\n`);
}

export async function rotate(): Promise<void> {
  await withSecrets((secrets, act) => secrets.rotate(act));
  process.stdout.write('Webhooks are signed with new secrets now; the ones before stay valid for 24 hours.\n');
}

export async function list({ status, limit, ...caller }: ListFlags): Promise<void> {
  const deliveries = await clientFor(caller).webhookDeliveries({ limit, ...(status === undefined ? {} : { status }) });
  if (caller.json === true) {
    process.stdout.write(`${JSON.stringify(deliveries, null, 2)}\n`);
    return;
  }
  if (deliveries.length === 0) {
    process.stdout.write('No deliveries. A prediction asks for one with "webhook" (docs/webhooks.md).\n');
    return;
  }
  const columns = ['ID', 'STATUS', 'ATTEMPTS', 'AGE', 'ANSWER', 'TO'].map((title) => ({ title }));
  process.stdout.write(table(columns, deliveries.map(row)));
}

export async function resend(id: string, flags: CallerOptions): Promise<void> {
  const delivery = await clientFor(flags).resendWebhook(id);
  process.stdout.write(
    flags.json === true ? `${JSON.stringify(delivery)}\n` : `${printable(delivery.id)} is ${delivery.status}.\n`,
  );
}

const COLOURS = { pending: 'yellow', delivered: 'green', failed: 'red' } as const;

function row({ id, status, attempts, created_at: at, answer, error, url }: WebhookDelivery): string[] {
  return [
    printable(id),
    paint(process.stdout, COLOURS[status], status),
    String(attempts),
    duration(Math.max(0, systemClock.now() - Date.parse(at)) / 1000),
    answer === null ? printable(error ?? '–') : String(answer),
    printable(url),
  ];
}
