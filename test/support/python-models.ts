/** A worker that serves models written in Python, real processes and all, behind a link that records. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { systemClock } from '../../src/clock.ts';
import type { LogFields, Logger } from '../../src/logger.ts';
import type { ModelReport } from '../../src/protocol/messages.ts';
import { parseWorkerConfig } from '../../src/worker/config.ts';
import type { WorkerConfigInput } from '../../src/worker/config.ts';
import { createExecutor } from '../../src/worker/executor.ts';
import type { Executor } from '../../src/worker/executor.ts';
import type { Assignment, AttemptEnd } from '../../src/worker/ports.ts';
import { createJournal } from './journal.ts';
import type { Journal } from './journal.ts';
import { assignmentOf, createRecordingLink } from './recording-link.ts';
import type { RecordingLink } from './recording-link.ts';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: LogFields;
}

export interface PythonModel {
  readonly code: string;
  /** Keys of postern.yaml that differ from a model of the kind `json`. */
  readonly manifest?: Record<string, unknown>;
  /** Other files of the version, by name. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface PythonWorker {
  readonly link: RecordingLink;
  readonly executor: Executor;
  readonly log: Journal<LogLine>;
  readonly folder: string;
  /** A JSON input for the model. */
  readonly ask: (model: string, input: unknown, parts?: Partial<Assignment>) => Promise<AttemptEnd>;
  report(model: string): ModelReport | undefined;
  /** Resolves when the model's latest state is this one. */
  untilState(model: string, state: ModelReport['state']): Promise<void>;
  stop(): Promise<void>;
}

export async function startPythonWorker(
  python: string,
  models: Readonly<Record<string, PythonModel>>,
  config: Partial<WorkerConfigInput> = {},
): Promise<PythonWorker> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-models-'));
  for (const [name, model] of Object.entries(models)) await writeModel(folder, name, model);
  const link = createRecordingLink();
  const log = createJournal<LogLine>();
  const pythonEnvironment = { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: process.env.HOME ?? '/' };
  const executor = createExecutor({
    config: parseWorkerConfig({ modelsDir: folder, python, pythonEnvironment, ...config }),
    link,
    clock: systemClock,
    random: () => 0.5,
    logger: journalLogger(log, {}),
  });
  await executor.start();
  await executor.settled;
  const report = (model: string): ModelReport | undefined => executor.models().find(({ name }) => name === model);
  return {
    link,
    executor,
    log,
    folder,
    report,
    ask(model, input, parts) {
      const bytes = Buffer.from(JSON.stringify(input));
      const assignment = assignmentOf(bytes, { model, contentType: 'application/json', ...parts });
      executor.onAssign(assignment);
      return link.ended(assignment.job);
    },
    untilState: async (model, state) =>
      void (await link.announcedThat(() => executor.models().some((one) => one.name === model && one.state === state))),
    async stop() {
      await executor.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function writeModel(folder: string, name: string, { code, manifest, files = {} }: PythonModel): Promise<void> {
  const path = join(folder, name, '1');
  await mkdir(path, { recursive: true });
  const keys = { postern: 1, name, version: '1', kind: 'json', runner: 'python', warm_up: { input: {} }, ...manifest };
  await writeFile(join(path, 'postern.yaml'), stringify(keys));
  await writeFile(join(path, 'model.py'), code);
  for (const [file, text] of Object.entries(files)) await writeFile(join(path, file), text);
}

function journalLogger(log: Journal<LogLine>, own: LogFields): Logger {
  const at =
    (level: LogLine['level']) =>
    (message: string, fields: LogFields = {}): void =>
      log.add({ level, message, fields: { ...own, ...fields } });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => journalLogger(log, { ...own, ...fields }),
  };
}

/** What the model answered, as JSON; throws the failure's message. */
export function answerOf(end: AttemptEnd): unknown {
  if (end.type !== 'result')
    throw new Error(end.type === 'failure' ? `${end.error.code}: ${end.error.message}` : 'canceled');
  const text = Buffer.from(end.output).toString();
  return end.contentType === 'application/json' ? (JSON.parse(text) as unknown) : text;
}

/** Code and message of a failure. */
export function failureOf(end: AttemptEnd): { code: string; message: string; retryable: boolean } {
  if (end.type !== 'failure') throw new Error(`expected a failure, got ${end.type}`);
  return { code: end.error.code, message: end.error.message, retryable: end.retryable };
}
