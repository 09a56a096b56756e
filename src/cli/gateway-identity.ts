/** The gateway's identity as the settings describe it: made on first use, opened afterwards. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../clock.ts';
import { openIdentity, type GatewayIdentity } from '../identity/identity.ts';
import type { Config } from './config.ts';

export function openGatewayIdentity(config: Config, tunnelHost: string): Promise<GatewayIdentity> {
  const hosts = [hostname(), ...(isAnyAddress(tunnelHost) ? [] : [tunnelHost])];
  return openIdentity({ folder: join(config.dataDir, 'identity'), hosts: [...new Set(hosts)], clock: systemClock });
}

const isAnyAddress = (host: string): boolean => host === '0.0.0.0' || host === '::';
