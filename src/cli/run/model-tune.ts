/** Measures a model with many settings, shows what came out, and writes the best into its manifest if asked to. */
import { readFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import { systemClock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { silentLogger } from '../../logger.ts';
import type { ModelRef } from '../../modelstore/manifest.ts';
import { PUBLIC_MODE, writeStateFile } from '../../state-file.ts';
import type { BatchedManifest } from '../../worker/build.ts';
import { parseWorkerConfig } from '../../worker/config.ts';
import { parseManifest } from '../../worker/manifest.ts';
import { readRepository } from '../../worker/repository.ts';
import type { ModelEntry } from '../../worker/served.ts';
import { measureGrid, type Measurement } from '../../worker/tune/measure.ts';
import { gridOf, propose, settingsOf, takesRows } from '../../worker/tune/propose.ts';
import { loadConfig } from '../env.ts';
import { createProgress } from '../terminal.ts';
import { describeTuning, yamlOf } from '../tune-report.ts';

export interface TuneFlags {
  readonly maxRows: number;
  readonly maxMs: number;
  readonly seconds: number;
  readonly write?: boolean;
  readonly json?: boolean;
}

/** Above this share of the cores, others' work is in the figures. */
const BUSY_SHARE = 0.3;

export async function tune(model: ModelRef, flags: TuneFlags): Promise<void> {
  const config = loadConfig();
  const entry = await findModel(config.modelsDir, model);
  const manifest = batchedOf(entry);
  const cores = availableParallelism();
  const busy = loadavg()[0]! > BUSY_SHARE * cores;
  if (busy) {
    process.stderr.write(
      `Other programs use this machine (load ${loadavg()[0]!.toFixed(1)}): the figures will show that too.\n`,
    );
  }
  const grid = gridOf(manifest, cores, Math.max(flags.maxRows, manifest.batch.max_rows));
  const progress = createProgress(grid.rows.length * grid.layouts.length, 'settings');
  const stopping = new AbortController();
  const onInterrupt = (): void => stopping.abort();
  process.once('SIGINT', onInterrupt);
  let measured: Measurement[];
  try {
    measured = await measureGrid({
      folder: entry.folder,
      manifest,
      config: parseWorkerConfig({
        modelsDir: config.modelsDir,
        python: config.python,
        pythonEnvironment: config.pythonEnvironment,
      }),
      grid,
      durationMs: flags.seconds * 1_000,
      maxBatchMs: flags.maxMs,
      clock: systemClock,
      random: Math.random,
      logger: silentLogger,
      signal: stopping.signal,
      onPoint: () => progress.step(),
    });
  } finally {
    process.off('SIGINT', onInterrupt);
    progress.end();
  }
  if (stopping.signal.aborted)
    throw new PosternError('canceled', 'stopped before everything was measured: nothing is proposed');
  const now = settingsOf(manifest);
  const proposed = propose(measured, flags.maxMs);
  const result = {
    model: entry.name,
    version: entry.version,
    cores,
    busy,
    max_ms: flags.maxMs,
    now,
    proposed,
    measured,
  };
  if (flags.json === true) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  else process.stdout.write(describeTuning(result, takesRows(manifest)));
  if (flags.write !== true || proposed === null) return;
  const path = join(entry.folder, 'postern.yaml');
  await writeSettings(path, proposed);
  if (flags.json !== true)
    process.stdout.write(`Written to ${path}. A worker that serves it takes it at its next start.\n`);
}

async function findModel(modelsDir: string, { name, version }: ModelRef): Promise<ModelEntry> {
  const entries = (await readRepository(modelsDir)).filter((entry) => entry.name === name);
  const entry = entries.find((one) => version === null || one.version === version);
  if (entry === undefined) {
    const what = version === null ? name : `${name}@${version}`;
    throw new PosternError('model_not_found', `there is no model ${what} in the repository ${modelsDir}`);
  }
  if (entry.type === 'broken') throw entry.error;
  return entry;
}

function batchedOf({ manifest }: ModelEntry): BatchedManifest {
  if ('batch' in manifest) return manifest;
  throw new PosternError(
    'config_invalid',
    `a model of the kind ${manifest.kind} has no batches: there is nothing to tune`,
  );
}

/** Comments and everything else stay as they are. */
async function writeSettings(path: string, proposed: Measurement): Promise<void> {
  const document = parseDocument(await readFile(path, 'utf8'));
  for (const [keys, value] of yamlOf(proposed)) document.setIn(keys, value);
  const text = document.toString({ lineWidth: 0, flowCollectionPadding: true });
  parseManifest(text);
  await writeStateFile(path, text, PUBLIC_MODE);
}
