/**
 * The executor: takes assignments from the link, runs them through the models, and ends every one of them exactly once.
 * Owner of the attempts that the worker works on; results that wait for their ack are the link's.
 */
import { PosternError, toPosternError } from '../errors.ts';
import type { Clock, Timer } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { ModelReport } from '../protocol/messages.ts';
import type { Service } from '../service.ts';
import { createService } from '../service.ts';
import { createGate } from './gate.ts';
import type { LaneEntry, Stage } from './lane.ts';
import type { Attempt, AttemptEnd, Assignment, IncomingExchange, LinkEvents, WorkerLink } from './ports.ts';
import { readRepository } from './repository.ts';
import type { RepositoryEntry } from './repository.ts';
import { createServed } from './served.ts';
import type { ModelEntry } from './served.ts';
import type { ServedModel } from './served-batch.ts';
import type { WorkerConfig } from './config.ts';

/** How often callers are told where a slow attempt is; faster ones need no progress. */
const PROGRESS_MS = 1_000;

export interface ExecutorOptions {
  readonly config: WorkerConfig;
  readonly link: Pick<WorkerLink, 'announce' | 'setCapacity' | 'progress' | 'partial' | 'end'>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

/** Start reads the repository and begins to load; it does not wait until models are ready. */
export interface Executor extends Service, Pick<LinkEvents, 'onAssign' | 'onCancel' | 'onRequest'> {
  /** Every model and its state, as announced. */
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
  const served = new Map<string, ServedModel>();
  const broken: ModelReport[] = [];
  const held = new Map<string, Held>();
  let reservedMb = 0;
  let progress: Timer | undefined;
  let stopped = false;
  const settled = Promise.withResolvers<void>();

  const reports = (): ModelReport[] => [...[...served.values()].map((model) => model.report()), ...broken];

  function onModelChange(model: ServedModel): void {
    if (stopped) return;
    // First the state, then the credit: the gateway never holds credit for a model that it was not told of.
    link.announce(reports());
    link.setCapacity(model.name, model.version, model.capacityRows());
  }

  function onEnd(attempt: Attempt, end: AttemptEnd): void {
    if (held.size > 0) held.delete(keyOf(attempt));
    link.end({ job: attempt.job, attempt: attempt.attempt }, end);
  }

  function onAssign(assignment: Assignment): void {
    const model = served.get(`${assignment.model}@${assignment.version}`);
    try {
      if (!model)
        throw new PosternError('model_unavailable', `${assignment.model} ${assignment.version} is not served here`);
      hold(model, assignment);
    } catch (thrown) {
      const error = toPosternError(thrown);
      link.end(assignment, { type: 'failure', error, retryable: error.retryable });
    }
  }

  function onRequest(exchange: IncomingExchange): void {
    const model = served.get(`${exchange.model}@${exchange.version}`);
    if (model?.serve) model.serve(exchange);
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

  /** Versions of one name, highest first: the first that loads is served, so that a bad new version takes nothing away. */
  async function startModel(versions: readonly RepositoryEntry[]): Promise<void> {
    for (const entry of versions) {
      if (stopped) return;
      if (entry.type === 'broken') reportBroken(entry.name, entry.version, 'unknown', entry.error);
      else if (await startVersion(entry)) return;
    }
  }

  async function startVersion(entry: ModelEntry): Promise<boolean> {
    const { name, version, manifest } = entry;
    const needMb = manifest.memory_mb;
    if (reservedMb + needMb > config.memoryMb) {
      const message = `memory_mb: ${needMb} MB are needed, ${config.memoryMb - reservedMb} of ${config.memoryMb} MB are left`;
      reportBroken(name, version, manifest.kind, new PosternError('model_invalid', message));
      return false;
    }
    reservedMb += needMb;
    const model = createServed({
      entry,
      config,
      gate,
      clock,
      random: options.random,
      logger,
      reports: link,
      onChange: () => onModelChange(model),
      onEnd,
    });
    served.set(`${name}@${version}`, model);
    link.announce(reports());
    await model.start();
    if (model.report().state !== 'failed') return true;
    // A model that failed has let go of everything already.
    reservedMb -= needMb;
    return false;
  }

  function reportBroken(name: string, version: string, kind: string, error: PosternError): void {
    logger.error('model folder cannot be used', { model: name, version, code: error.code, reason: error.message });
    broken.push({ name, version, kind, state: 'failed', maxRows: 1, message: error.message.slice(0, 2_000) });
    link.announce(reports());
  }

  const service = createService({
    async start() {
      const entries = await readRepository(config.modelsDir);
      if (entries.length === 0) logger.warn('the model repository is empty', { modelsDir: config.modelsDir });
      const names = Map.groupBy(entries, (entry) => entry.name);
      // Models load side by side and in the background: one that takes minutes holds up neither the others nor the link.
      Promise.all([...names.values()].map(startModel)).then(
        () => settled.resolve(),
        (thrown: unknown) => {
          logger.error('loading models failed', { reason: toPosternError(thrown).message });
          settled.resolve();
        },
      );
    },
    async stop() {
      stopped = true;
      progress?.cancel();
      await Promise.all([...served.values()].map((model) => model.stop()));
      await settled.promise;
    },
  });

  return {
    ...service,
    onAssign,
    onCancel,
    onRequest,
    models: reports,
    settled: settled.promise,
  };
}
