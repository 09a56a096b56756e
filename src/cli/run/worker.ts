/** Runs the worker until somebody asks it to end; then drains it. */
import { join } from 'node:path';
import { systemClock } from '../../clock.ts';
import { readWorkerIdentity } from '../../identity/worker.ts';
import { parseWorkerConfig } from '../../worker/config.ts';
import { createWorker } from '../../worker/worker.ts';
import { loadConfig } from '../env.ts';
import { untilAskedToEnd } from '../lifetime.ts';
import { createLogger } from '../logging.ts';

export async function worker(): Promise<void> {
  const config = loadConfig();
  const logger = createLogger(config.logLevel ?? 'info');
  const ending = untilAskedToEnd();
  const identity = await readWorkerIdentity(config.identityDir);
  const service = createWorker({
    config: parseWorkerConfig({
      targetHost: config.targetHost,
      targetPort: config.targetPort,
      modelsDir: config.modelsDir,
      python: config.python,
      pythonEnvironment: config.pythonEnvironment,
      drainMs: config.drainMs,
      spoolDir: join(config.dataDir, 'spool', identity.name),
    }),
    identity,
    logger,
    clock: systemClock,
    random: Math.random,
  });
  await service.start();
  logger.info('worker started', { worker: identity.name, target: `${config.targetHost}:${config.targetPort}` });
  const reason = await ending;
  logger.info('worker draining', { reason, drain_ms: config.drainMs });
  await service.drain(config.drainMs);
  await service.stop();
  logger.info('worker stopped');
}
