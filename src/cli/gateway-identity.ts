/** The identity of this machine's gateway as the settings describe it: made on first use, opened afterwards. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../clock.ts';
import type { Records } from '../identity/records.ts';
import { openTunnelIdentity, type OpenTunnelIdentity } from '../identity/tunnel-identity.ts';
import { silentLogger, type Logger } from '../logger.ts';
import type { Config } from './config.ts';
import { commandAct, openControlRecords, type CommandAct } from './control-records.ts';
import { loadConfig } from './env.ts';

export function openGatewayIdentity(
  config: Config,
  records: Records,
  tunnelHost: string,
  logger: Logger,
): Promise<OpenTunnelIdentity> {
  const hosts = [hostname(), ...(isAnyAddress(tunnelHost) ? [] : [tunnelHost])];
  return openTunnelIdentity({
    records,
    folder: join(config.dataDir, 'identity'),
    hosts: [...new Set(hosts)],
    foreign: config.pkiDir === null ? null : { folder: config.pkiDir, names: config.pkiNames },
    certificateTtlMs: config.certificateTtlMs,
    renewalGraceMs: config.renewalGraceMs,
    clock: systemClock,
    logger,
  });
}

/** For one command, which may run beside a gateway. */
export async function withIdentity<T>(
  use: (open: {
    readonly config: Config;
    readonly records: Records;
    readonly identity: OpenTunnelIdentity;
    readonly act: CommandAct;
  }) => T | Promise<T>,
): Promise<T> {
  const config = loadConfig();
  const records = openControlRecords(config);
  try {
    const identity = await openGatewayIdentity(config, records, config.tunnelHost ?? '0.0.0.0', silentLogger);
    return await use({ config, records, identity, act: commandAct() });
  } finally {
    records.close();
  }
}

const isAnyAddress = (host: string): boolean => host === '0.0.0.0' || host === '::';
