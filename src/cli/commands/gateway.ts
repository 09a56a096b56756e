/** `postern gateway`: the public process. */
import type { Command } from 'commander';
import { loadConfig } from '../env.ts';
import { dialHost, startGateway } from '../gateway-process.ts';
import { untilAskedToEnd, writeReadyFile } from '../lifetime.ts';
import { createLogger } from '../logging.ts';
import { EXIT_CODES_HELP } from '../options.ts';

interface GatewayFlags {
  readonly readyFile?: string;
  readonly json?: boolean;
}

export function addGateway(program: Command): void {
  program
    .command('gateway')
    .description('run the public gateway: the HTTP API, and the port that workers dial')
    .option('--ready-file <path>', 'write the addresses to this file, as JSON, when ready')
    .option('--json', 'print the addresses as one JSON line when ready')
    .addHelpText(
      'after',
      `
Settings: POSTERN_HTTP_HOST, POSTERN_HTTP_PORT, POSTERN_TUNNEL_HOST, POSTERN_TUNNEL_PORT, POSTERN_DATA_DIR, …
(docs/configuration.md). SIGINT or SIGTERM drains it; a second one ends it at once.

Examples:
  postern gateway
  POSTERN_TUNNEL_PORT=443 postern gateway
${EXIT_CODES_HELP}`,
    )
    .action(async (flags: GatewayFlags) => {
      const config = loadConfig();
      const logger = createLogger(config.logLevel ?? 'info');
      const ending = untilAskedToEnd();
      const { gateway, tunnelHost } = await startGateway(config, '0.0.0.0', logger);
      const ready = {
        url: `http://${dialHost(config.httpHost)}:${gateway.httpPort}`,
        httpHost: config.httpHost,
        httpPort: gateway.httpPort,
        tunnelHost,
        tunnelPort: gateway.tunnelPort,
        pid: process.pid,
      };
      if (flags.readyFile !== undefined) writeReadyFile(flags.readyFile, ready);
      process.stdout.write(
        flags.json === true
          ? `${JSON.stringify(ready)}\n`
          : `The gateway is ready: API on ${ready.url}, workers dial ${tunnelHost}:${gateway.tunnelPort}.\n`,
      );
      logger.info('gateway ready', {
        http: `${config.httpHost}:${gateway.httpPort}`,
        tunnel: `${tunnelHost}:${gateway.tunnelPort}`,
      });
      const reason = await ending;
      logger.info('gateway draining', { reason, drain_ms: config.drainMs });
      await gateway.drain(config.drainMs);
      await gateway.stop();
      logger.info('gateway stopped');
    });
}
