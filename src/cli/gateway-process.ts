/** Makes the gateway of this process out of the settings: shared by `gateway` and `up`. */
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { systemClock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import { createGateway, type Gateway, type GatewayHandOver } from '../gateway/gateway.ts';
import { parseGatewayConfig } from '../gateway/config.ts';
import type { App, AppHost } from '../gateway/ports.ts';
import { stateOf } from '../identity/keys/key.ts';
import { listKeys, prepareKeys } from '../identity/keys/records.ts';
import type { Records } from '../identity/records.ts';
import type { OpenTunnelIdentity } from '../identity/tunnel-identity.ts';
import type { Logger } from '../logger.ts';
import { parseAddress, type Config } from './config.ts';
import { openControlRecords } from './control-records.ts';
import { fieldGuideApps } from './guides.ts';
import { openGatewayIdentity } from './gateway-identity.ts';
import { hostTowards } from './peer-host.ts';
import { readLimits } from './limits-file.ts';
import { VERSION } from './version.ts';
import { builtWebApp } from './web-app.ts';

export interface GatewayProcess {
  readonly gateway: Gateway;
  readonly identity: OpenTunnelIdentity;
  readonly tunnelHost: string;
}

/** Opens the identity (made on first use) and starts the gateway. `defaultTunnelHost` counts when no setting says otherwise. */
export async function startGateway(
  config: Config,
  defaultTunnelHost: string,
  logger: Logger,
  guides?: readonly string[],
  handOver: GatewayHandOver | null = null,
): Promise<GatewayProcess> {
  const records = openControlRecords(config);
  try {
    refuseOpenHttp(config, records);
    const apps = await fieldGuideApps(config, guides);
    return await startOver(records, config, apps, defaultTunnelHost, logger, handOver);
  } catch (error) {
    records.close();
    throw error;
  }
}

async function startOver(
  records: Records,
  config: Config,
  apps: readonly ((host: AppHost) => App)[],
  defaultTunnelHost: string,
  logger: Logger,
  handOver: GatewayHandOver | null,
): Promise<GatewayProcess> {
  suitTheCollector();
  const tunnelHost = config.tunnelHost ?? defaultTunnelHost;
  const identity = await openGatewayIdentity(config, records, tunnelHost, logger);
  const gateway = createGateway({
    config: parseGatewayConfig({
      dataDir: config.dataDir,
      ...(config.databaseUrl === null ? {} : { name: machineName() }),
      http: {
        host: config.httpHost,
        port: config.httpPort,
        publicUrl: config.publicUrl,
        maxBodyBytes: config.bodyLimitBytes,
        open: config.open,
        webDir: await builtWebApp(config.webDir, logger),
        corsOrigins: [...config.corsOrigins],
        trustedProxies: [...config.trustedProxies],
        maxConnectionsPerAddress: config.connectionsPerAddress,
      },
      tunnel: { host: tunnelHost, port: config.tunnelPort, allow: [...config.tunnelAllow] },
      store:
        config.databaseUrl === null
          ? { driver: config.store }
          : { driver: 'postgres', url: config.databaseUrl, listenUrl: config.databaseListenUrl },
      blobs: config.blobs,
      models: { soakMs: config.modelSoakMs },
      jobs: { maxQueueJobs: config.queueLimitJobs, ...config.jobs },
      ...(config.limitsFile === null ? {} : { limits: readLimits(config.limitsFile) }),
      outbound: { allow: [...config.outboundAllow], plainHttp: config.outboundHttp },
      cluster: {
        release: VERSION,
        tunnelAddress: config.tunnelAddress === null ? null : parseAddress(config.tunnelAddress, 0),
        peer: await peerPlace(config),
      },
      drainMs: config.drainMs,
    }),
    identity,
    records,
    apps,
    logger,
    clock: systemClock,
    handOver,
  });
  try {
    await gateway.start();
  } catch (error) {
    await gateway.stop().catch(() => undefined);
    throw explainListenError(error, config, tunnelHost);
  }
  return { gateway, identity, tunnelHost };
}

async function peerPlace({ databaseUrl, peerHost, peerPort, peerAddress }: Config) {
  if (databaseUrl === null) return null;
  return {
    host: peerHost ?? (await hostTowards(databaseUrl)),
    port: peerPort,
    address: peerAddress === null ? null : parseAddress(peerAddress, 0),
  };
}

/** By which people tell gateways apart that share a database. */
function machineName(): string {
  const name = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .slice(0, 48)
    .replace(/^-+|-+$/g, '');
  return name === '' ? 'gateway' : name;
}

/**
 * V8 learns that some objects live long and then makes all of their kind in the old generation. Here a job lives for
 * milliseconds and its result for an hour, made by the same lines; so it put every job there, with the request that each
 * one held. Without that guess, at 64 callers and 1 KiB: scavenges of 1.3 instead of 3 ms, p99 of 10 instead of 17 ms, 8 %
 * less CPU. The flag only steers the compiler, so that it may be set while V8 runs.
 */
function suitTheCollector(): void {
  setFlagsFromString('--no-allocation-site-pretenuring');
}

/** Without keys the API is for this machine only, unless somebody decides otherwise in so many words. */
function refuseOpenHttp(config: Config, records: Records): void {
  if (config.open || isLoopback(config.httpHost)) return;
  prepareKeys(records);
  const now = systemClock.now();
  if (listKeys(records.db).some((key) => stateOf(key, now) === 'active')) return;
  throw new PosternError(
    'config_invalid',
    `POSTERN_HTTP_HOST=${config.httpHost} would let everybody use the API: make a key first (postern keys create <name>), or keep 127.0.0.1, or set POSTERN_OPEN=1 if everybody is what you want`,
  );
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

/** The system says `EADDRINUSE`; a person wants to know which setting to change. */
function explainListenError(error: unknown, config: Config, tunnelHost: string): unknown {
  const { code, port } = (innermost(error) ?? {}) as { code?: string; port?: number };
  const tunnel = port === config.tunnelPort && port !== config.httpPort;
  const where = tunnel ? `${tunnelHost}:${config.tunnelPort}` : `${config.httpHost}:${config.httpPort}`;
  const [portKey, hostKey] = tunnel
    ? ['POSTERN_TUNNEL_PORT', 'POSTERN_TUNNEL_HOST']
    : ['POSTERN_HTTP_PORT', 'POSTERN_HTTP_HOST'];
  if (code === 'EADDRINUSE') {
    return new PosternError(
      'address_in_use',
      `${where} is already in use: stop what listens there, or set ${portKey} to another port`,
      { cause: error },
    );
  }
  if (code === 'EACCES') {
    return new PosternError(
      'config_invalid',
      `${where} may not be listened on: choose a port above 1023 in ${portKey}`,
      { cause: error },
    );
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return new PosternError('config_invalid', `${where} is not an address of this machine: correct ${hostKey}`, {
      cause: error,
    });
  }
  return error;
}

function innermost(error: unknown): unknown {
  let current = error;
  for (let depth = 0; depth < 4; depth += 1) {
    if (!(current instanceof Error) || current.cause === undefined) break;
    current = current.cause;
  }
  return current;
}

/** An address as a person would dial it: an any-address is reached on loopback. */
export function dialHost(host: string): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return isIP(reachable) === 6 ? `[${reachable}]` : reachable;
}
