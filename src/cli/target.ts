/** Which gateway the worker of this machine belongs to. */
import { OWN_GATEWAY, type GatewayRule } from '../worker/dial.ts';
import { parseAddress, type Config } from './config.ts';
import { isSet } from './env.ts';

/** What somebody chose in the settings; otherwise where the worker joined. */
export function targetOf(config: Config, joinedAt: string | null): { readonly host: string; readonly port: number } {
  const joined = joinedAt === null ? null : parseAddress(joinedAt, config.targetPort);
  return {
    host: joined === null || isSet('TARGET_HOST') ? config.targetHost : joined.host,
    port: joined === null || isSet('TARGET_PORT') ? config.targetPort : joined.port,
  };
}

/** Another authority's certificates name the gateway as they please, and may be for more than one purpose. */
export const gatewayRuleOf = ({ gatewayName }: Config): GatewayRule =>
  gatewayName === null ? OWN_GATEWAY : { name: gatewayName, strict: false };
