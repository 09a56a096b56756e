/** Which gateways the worker of this machine belongs to. */
import { OWN_GATEWAY, type GatewayRule } from '../worker/dial.ts';
import type { Target } from '../worker/targets.ts';
import { formatAddress, parseAddress, type Config } from './config.ts';
import { isSet } from './env.ts';

/** What somebody chose in the settings; otherwise where the worker joined. Each once, and at least one. */
export function targetsOf(config: Config, joinedAt: string | null): Target[] {
  const joined = joinedAt === null ? null : parseAddress(joinedAt, config.targetPort);
  const port = joined === null || isSet('TARGET_PORT') ? config.targetPort : joined.port;
  if (joined !== null && !isSet('TARGET_HOST')) return [{ host: joined.host, port }];
  const targets = new Map<string, Target>();
  for (const text of config.targetHosts) {
    const target = parseAddress(text, port);
    if (target !== null) targets.set(addressOf(target), target);
  }
  return [...targets.values()];
}

export const addressOf = ({ host, port }: Target): string => formatAddress(host, port);

/** Another authority's certificates name the gateway as they please, and may be for more than one purpose. */
export const gatewayRuleOf = ({ gatewayName }: Config): GatewayRule =>
  gatewayName === null ? OWN_GATEWAY : { name: gatewayName, strict: false };
