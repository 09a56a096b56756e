/** `postern worker`: the private process. It listens on nothing; it dials the gateway and is sent work. */
import type { Command } from 'commander';
import { systemClock } from '../../clock.ts';
import { readWorkerIdentity } from '../../identity/worker.ts';
import { parseWorkerConfig } from '../../worker/config.ts';
import { createWorker } from '../../worker/worker.ts';
import { loadConfig } from '../env.ts';
import { untilAskedToEnd } from '../lifetime.ts';
import { createLogger } from '../logging.ts';
import { EXIT_CODES_HELP } from '../options.ts';

export function addWorker(program: Command): void {
  program
    .command('worker')
    .description('run a worker: it dials the gateway and serves the models of this machine')
    .addHelpText(
      'after',
      `
The worker opens no port. It goes on dialling when the gateway is away, so start order does not matter.
Settings: TARGET_HOST, TARGET_PORT, POSTERN_MODELS_DIR, POSTERN_IDENTITY_DIR, … (docs/configuration.md).

Examples:
  TARGET_HOST=gateway.example.org postern worker
  POSTERN_MODELS_DIR=/srv/models postern worker
${EXIT_CODES_HELP}`,
    )
    .action(async () => {
      const config = loadConfig();
      const logger = createLogger(config.logLevel ?? 'info');
      const ending = untilAskedToEnd();
      const identity = await readWorkerIdentity(config.identityDir);
      const worker = createWorker({
        config: parseWorkerConfig({
          targetHost: config.targetHost,
          targetPort: config.targetPort,
          modelsDir: config.modelsDir,
          drainMs: config.drainMs,
        }),
        identity,
        logger,
        clock: systemClock,
        random: Math.random,
      });
      await worker.start();
      logger.info('worker started', { worker: identity.name, target: `${config.targetHost}:${config.targetPort}` });
      const reason = await ending;
      logger.info('worker draining', { reason, drain_ms: config.drainMs });
      await worker.drain(config.drainMs);
      await worker.stop();
      logger.info('worker stopped');
    });
}
