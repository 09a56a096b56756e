/** Runs the worker until somebody asks it to end; then drains it. */
import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { systemClock } from '../../clock.ts';
import { readWorkerIdentity } from '../../identity/worker.ts';
import { parseWorkerConfig } from '../../worker/config.ts';
import type { WorkerReady } from '../../deploy/worker/ready.ts';
import { createWorker, type Worker } from '../../worker/worker.ts';
import { createCredentials } from '../../worker/credentials.ts';
import { loadConfig } from '../env.ts';
import { addressOf, gatewayRuleOf, targetsOf } from '../target.ts';
import { untilAskedToEnd, writeReadyFile } from '../lifetime.ts';
import { createLogger } from '../logging.ts';

export interface WorkerFlags {
  readonly readyFile?: string;
}

export async function worker({ readyFile }: WorkerFlags): Promise<void> {
  const config = loadConfig();
  const logger = createLogger(config.logLevel ?? 'info');
  const ending = untilAskedToEnd();
  const folder = config.identityDir;
  const identity = await readWorkerIdentity(folder);
  const targets = targetsOf(config, identity.joinedAt);
  const service = createWorker({
    config: parseWorkerConfig({
      targets,
      modelsDir: config.modelsDir,
      watchModels: config.modelsWatch,
      deployedFile: join(config.dataDir, 'deployed', `${identity.name}.json`),
      python: config.python,
      pythonEnvironment: config.pythonEnvironment,
      drainMs: config.drainMs,
      spoolDir: join(config.dataDir, 'spool', identity.name),
    }),
    credentials: createCredentials({
      folder,
      identity,
      targets,
      gateway: gatewayRuleOf(config),
      clock: systemClock,
      logger,
      random: Math.random,
    }),
    logger,
    clock: systemClock,
    random: Math.random,
    onLink: () => report(),
  });
  let settled = false;
  const report = (): void => {
    if (readyFile !== undefined) writeReadyFile(readyFile, readyOf(service, settled));
  };
  if (readyFile !== undefined) rmSync(readyFile, { force: true });
  void service.settled.then(() => {
    settled = true;
    report();
  });
  await service.start();
  report();
  logger.info('worker started', { worker: identity.name, target: targets.map(addressOf).join(',') });
  const reason = await ending;
  logger.info('worker draining', { reason, drain_ms: config.drainMs });
  await service.drain(config.drainMs);
  await service.stop();
  logger.info('worker stopped');
}

const readyOf = (worker: Worker, settled: boolean): WorkerReady => ({
  pid: process.pid,
  program: PROGRAM_ROOT,
  link: worker.link.state,
  settled,
  ready: worker
    .models()
    .filter(({ state }) => state === 'ready')
    .map(({ name, version }) => `${name}/${version}`),
});

const PROGRAM_ROOT = resolve(import.meta.dirname, '../../..');
