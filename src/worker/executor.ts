/**
 * The executor: takes assignments from the link, runs them through the models, and ends every one of them exactly once.
 * Owner of the attempts that the worker works on; results that wait for their ack are the link's.
 */
import { PosternError, toPosternError } from '../errors.ts';
import type { Clock, Timer } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { ModelReport, StoredVersion, WantedVersions } from '../protocol/messages.ts';
import type { Service } from '../service.ts';
import { createService } from '../service.ts';
import { createGate } from './gate.ts';
import type { LaneEntry, Stage } from './lane.ts';
import type { Attempt, AttemptEnd, Assignment, IncomingExchange, LinkEvents, WorkerLink } from './ports.ts';
import { readRepository } from './repository.ts';
import { createServed } from './served.ts';
import type { ServedModel } from './served-batch.ts';
import { createRemembered } from './versions/remembered.ts';
import { Versions } from './versions/versions.ts';
import { createRepositoryWatch } from './versions/watch.ts';
import type { WorkerConfig } from './config.ts';

/** How often callers are told where a slow attempt is; faster ones need no progress. */
const PROGRESS_MS = 1_000;

export interface ExecutorOptions {
  readonly config: WorkerConfig;
  readonly link: Pick<WorkerLink, 'announce' | 'setCapacity' | 'busyRows' | 'progress' | 'partial' | 'end'>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

/** Start reads the repository and begins to load; it does not wait until models are ready. */
export interface Executor
  extends Service, Pick<LinkEvents, 'onAssign' | 'onCancel' | 'onRequest' | 'onDeploy' | 'onFreed'> {
  /** Every version and its state, as announced. */
  models(): readonly ModelReport[];
  /** Resolves when no model is loading any more. */
  readonly settled: Promise<void>;
}

interface Held {
  readonly entry: LaneEntry;
  readonly model: ServedModel;
  reported: Stage | null;
}

const keyOf = (attempt: Attempt): string => `${attempt.job}#${attempt.attempt}`;

export function createExecutor(options: ExecutorOptions): Executor {
  const { config, link, clock, logger } = options;
  const gate = createGate(config.maxDecodes);
  const remembered = createRemembered(config.deployedFile, logger);
  const held = new Map<string, Held>();
  let progress: Timer | undefined;
  let stopped = false;
  /** What was last told, so that nothing is told twice. */
  let announced = '';

  const versions = new Versions({
    memoryMb: config.memoryMb,
    drainMs: config.drainMs,
    clock,
    logger,
    create: (entry, onChange) =>
      createServed({ entry, config, gate, clock, random: options.random, logger, reports: link, onChange, onEnd }),
    busyRows: (model, version) => link.busyRows(model, version),
    onChange(slot) {
      // First the state, then the credit: the gateway never holds credit for a model that it was not told of.
      announce(versions.reports(), versions.stored());
      if (slot) link.setCapacity(slot.entry.name, slot.entry.version, slot.capacityRows());
    },
  });
  const watch = createRepositoryWatch({
    folder: config.modelsDir,
    clock,
    logger,
    isLoaded: (name, version) => versions.find(name, version) !== undefined,
    onChange: (entries, changed) => versions.setEntries(entries, changed, config.watchModels === 'deploy'),
  });

  function announce(reports: readonly ModelReport[], stored: readonly StoredVersion[]): void {
    const text = JSON.stringify([reports, stored]);
    if (text === announced) return;
    announced = text;
    link.announce(reports, stored);
  }

  function onEnd(attempt: Attempt, end: AttemptEnd): void {
    if (held.size > 0) held.delete(keyOf(attempt));
    link.end({ job: attempt.job, attempt: attempt.attempt }, end);
  }

  /** What was on its way to a version that is gone meanwhile is nobody's fault: it goes back and costs no attempt. */
  const notHere = (model: string, version: string): PosternError =>
    versions.isKnown(model, version)
      ? new PosternError('draining', `${model} ${version} is not loaded here any more`)
      : new PosternError('model_unavailable', `${model} ${version} is not served here`);

  function onAssign(assignment: Assignment): void {
    const { model, version } = assignment;
    try {
      const slot = versions.find(model, version);
      if (!slot) throw notHere(model, version);
      hold(slot.model, assignment);
    } catch (thrown) {
      const error = toPosternError(thrown);
      link.end(assignment, { type: 'failure', error, retryable: error.retryable });
    }
  }

  function onRequest(exchange: IncomingExchange): void {
    const slot = versions.find(exchange.model, exchange.version);
    if (!slot) exchange.fail(notHere(exchange.model, exchange.version), true);
    else if (slot.model.serve) slot.model.serve(exchange);
    else exchange.fail(new PosternError('model_unavailable', `${exchange.model} is no service here`), true);
  }

  function hold(model: ServedModel, assignment: Assignment): void {
    // A second assignment of what is held changes nothing: it is answered when that ends. (Of what has ended, too: the
    // link keeps the result and recognises the attempt.)
    if (held.size > 0 && held.has(keyOf(assignment))) return;
    const entry = model.accept(assignment);
    if (entry.ended) return;
    held.set(keyOf(assignment), { entry, model, reported: null });
    progress ??= clock.after(PROGRESS_MS, reportProgress);
  }

  function onCancel(attempt: Attempt): void {
    const found = held.get(keyOf(attempt));
    found?.model.cancel(found.entry);
  }

  /** Tells the stage of what has been here for longer than one period, when it changed. */
  function reportProgress(): void {
    progress = undefined;
    const now = clock.monotonic();
    for (const one of held.values()) {
      const { assignment, stage, toldProgress } = one.entry;
      if (toldProgress || stage === one.reported || now - assignment.receivedAt < PROGRESS_MS) continue;
      one.reported = stage;
      link.progress(assignment, null, stage);
    }
    if (held.size > 0 && !stopped) progress = clock.after(PROGRESS_MS, reportProgress);
  }

  function onDeploy(models: readonly WantedVersions[]): void {
    remembered.keep(models);
    versions.setWishes(models);
  }

  const service = createService({
    async start() {
      versions.setWishes(await remembered.read());
      const entries = await readRepository(config.modelsDir);
      if (entries.length === 0) logger.warn('the model repository is empty', { modelsDir: config.modelsDir });
      // Models load side by side and in the background: one that takes minutes holds up neither the others nor the link.
      versions.setEntries(entries);
      if (config.watchModels !== 'off') await watch.start();
    },
    async stop() {
      stopped = true;
      progress?.cancel();
      await watch.stop();
      await versions.stop();
      await remembered.flushed();
    },
  });

  return {
    ...service,
    onAssign,
    onCancel,
    onRequest,
    onDeploy,
    onFreed: (model, version) => versions.freed(model, version),
    models: () => versions.reports(),
    settled: versions.settled,
  };
}
