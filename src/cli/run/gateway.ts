/** Runs the gateway until somebody asks it to end; then drains it. */
import { parseStart } from '../../deploy/hand-over.ts';
import { loadConfig } from '../env.ts';
import { runHandedGateway } from '../handed-gateway.ts';
import { dialHost, startGateway } from '../gateway-process.ts';
import { untilAskedToEnd, writeReadyFile } from '../lifetime.ts';
import { createLogger } from '../logging.ts';

export interface GatewayFlags {
  readonly readyFile?: string;
  readonly guide?: readonly string[];
  readonly json?: boolean;
  readonly handOver?: string;
}

export async function gateway(flags: GatewayFlags): Promise<void> {
  const config = loadConfig();
  const logger = createLogger(config.logLevel ?? 'info');
  const ending = untilAskedToEnd();
  if (flags.handOver !== undefined) {
    await runHandedGateway({ start: parseStart(flags.handOver), config, logger, guides: flags.guide }, ending);
    return;
  }
  const { gateway: service, tunnelHost } = await startGateway(config, '0.0.0.0', logger, flags.guide);
  const ready = {
    url: `http://${dialHost(config.httpHost)}:${service.httpPort}`,
    httpHost: config.httpHost,
    httpPort: service.httpPort,
    tunnelHost,
    tunnelPort: service.tunnelPort,
    pid: process.pid,
  };
  if (flags.readyFile !== undefined) writeReadyFile(flags.readyFile, ready);
  process.stdout.write(
    flags.json === true
      ? `${JSON.stringify(ready)}\n`
      : `The gateway is ready: API on ${ready.url}, workers dial ${tunnelHost}:${service.tunnelPort}.\n`,
  );
  logger.info('gateway ready', {
    http: `${config.httpHost}:${service.httpPort}`,
    tunnel: `${tunnelHost}:${service.tunnelPort}`,
  });
  const reason = await ending;
  logger.info('gateway draining', { reason, drain_ms: config.drainMs });
  await service.drain(config.drainMs);
  await service.stop();
  logger.info('gateway stopped');
}
