/** The worker: the model repository and its executor behind links that dial out. It listens on nothing. */
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { ModelReport } from '../protocol/messages.ts';
import { createService } from '../service.ts';
import type { Service } from '../service.ts';
import type { WorkerConfig } from './config.ts';
import type { LinkCredentials } from './credentials.ts';
import { createExecutor } from './executor.ts';
import { createWorkerLinks } from './links/links.ts';
import type { WorkerLink } from './ports.ts';
import { createSpool } from './spool.ts';

export interface WorkerOptions {
  readonly config: WorkerConfig;
  /** Key, certificate and authority, and how they stay valid. */
  readonly credentials: LinkCredentials;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Uniform in [0, 1): the jitter of back-offs. */
  readonly random: () => number;
  /** Told when the link comes and goes. */
  readonly onLink?: (state: WorkerLink['state']) => void;
}

/** Start returns when the link dials and the models load; neither is waited for. */
export interface Worker extends Service {
  /** Tells the gateway that nothing more is accepted, and waits for what runs, at most `deadlineMs`. Memoised. */
  drain(deadlineMs: number): Promise<void>;
  models(): readonly ModelReport[];
  /** Resolves when every model is ready or failed. */
  readonly settled: Promise<void>;
  readonly link: Pick<WorkerLink, 'state' | 'roundTripMs'>;
}

export function createWorker(options: WorkerOptions): Worker {
  const { config, credentials, logger, clock, random } = options;
  let draining: Promise<void> | undefined;

  const link = createWorkerLinks({
    targets: config.targets,
    credentials,
    logger,
    clock,
    random,
    spool: config.spoolDir === null ? null : createSpool({ folder: config.spoolDir, clock, logger }),
    events: {
      onAssign: (assignment) => executor.onAssign(assignment),
      onCancel: (attempt, reason) => executor.onCancel(attempt, reason),
      onRequest: (exchange) => executor.onRequest(exchange),
      onDeploy: (models) => executor.onDeploy(models),
      onFreed: (model, version) => executor.onFreed(model, version),
      // The link stops granting and logs both; what runs is finished all the same.
      onDrain: () => undefined,
      onState: (state) => options.onLink?.(state),
    },
  });
  const executor = createExecutor({ config, link, clock, random, logger });

  const service = createService({
    async start() {
      await executor.start();
      await link.start();
    },
    async stop() {
      await link.stop();
      await executor.stop();
    },
  });

  return {
    ...service,
    drain(deadlineMs) {
      return (draining ??= link.drain(deadlineMs));
    },
    models: () => executor.models(),
    settled: executor.settled,
    link,
  };
}
