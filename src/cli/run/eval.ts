/** Sends labelled photos through the running service, and makes figures of the answers. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { systemClock } from '../../clock.ts';
import { PosternError, toPosternError } from '../../errors.ts';
import { createClient, type Client } from '../../client/client.ts';
import { isClassification, type Prediction } from '../../client/shapes.ts';
import { parseManifest } from '../../worker/manifest.ts';
import { forEachConcurrently } from '../../concurrency.ts';
import { loadConfig } from '../env.ts';
import { computeFigures, type Answer, type Labels } from '../eval/figures.ts';
import { readGuide } from '../eval/guide.ts';
import { readPhotoList, type Photo } from '../eval/manifest.ts';
import { openPhotos, type PhotoSource } from '../eval/photos.ts';
import { describeReport, type EvaluationReport, type Speed } from '../eval/report.ts';
import { checkTargets, readTargets } from '../eval/targets.ts';
import { EXIT_FAILED, EXIT_OK } from '../exit.ts';
import { percentile } from '../percentile.ts';
import { createProgress } from '../terminal.ts';
import { apiKeyOf, type CallerOptions } from '../options.ts';

export interface EvalFlags extends CallerOptions {
  readonly split: string;
  readonly concurrency: number;
  readonly limit?: number;
  readonly guide?: string;
  readonly check?: string;
  readonly out?: string;
}

/** Returns the exit code. */
export async function evaluate(model: string, manifest: string, flags: EvalFlags): Promise<number> {
  const config = loadConfig();
  const targets = flags.check === undefined ? {} : await readTargets(flags.check);
  const listed = (await readPhotoList(manifest)).filter(({ split }) => flags.split === 'all' || split === flags.split);
  const photos = listed.slice(0, flags.limit);
  const [example] = photos;
  if (example === undefined)
    throw new PosternError('config_invalid', `${manifest} lists no photo of the split ${flags.split}`);
  const guide = await readGuide(flags.guide ?? join('guides', model, 'entries.json'));
  const client = createClient({ gateway: flags.gateway ?? config.url, apiKey: apiKeyOf(flags, config) });
  const source = await openPhotos(manifest, example.file);
  try {
    const measured = await measure(client, source, model, photos, flags.concurrency);
    const labels = await readLabels(join(config.modelsDir, model), measured.version);
    const figures = computeFigures(measured.answers, labels, guide);
    const untested = { model, version: measured.version, split: flags.split, ...figures, speed: measured.speed };
    const report: EvaluationReport = { ...untested, targets: checkTargets(targets, untested) };
    if (flags.out !== undefined) await writeFile(flags.out, `${JSON.stringify(report, null, 2)}\n`);
    process.stdout.write(flags.json === true ? `${JSON.stringify(report, null, 2)}\n` : describeReport(report));
    return report.targets.every(({ met }) => met) ? EXIT_OK : EXIT_FAILED;
  } finally {
    await source.close();
  }
}

interface Measured {
  readonly answers: Answer[];
  readonly version: string | null;
  readonly speed: Speed;
}

/** The page shows five; the verdict on danger sums over every label. */
const TOP_K = '1000';

async function measure(
  client: Client,
  source: PhotoSource,
  model: string,
  photos: readonly Photo[],
  concurrency: number,
): Promise<Measured> {
  const progress = createProgress(photos.length, 'photos');
  const answers: Answer[] = [];
  const latenciesMs: number[] = [];
  const parts: Record<string, number>[] = [];
  let version: string | null = null;
  const startedAt = systemClock.monotonic();
  try {
    await forEachConcurrently(photos, concurrency, async (photo, index) => {
      const bytes = await source.read(photo.file);
      const sentAt = systemClock.monotonic();
      const outcome = await client
        .run(model, bytes, { contentType: 'image/jpeg', parameters: { top_k: TOP_K }, timeoutMs: 120_000 })
        .catch((error: unknown) => toPosternError(error));
      latenciesMs[index] = systemClock.monotonic() - sentAt;
      answers[index] = answerOf(photo, outcome);
      if (!(outcome instanceof PosternError)) {
        version = outcome.version;
        parts.push(outcome.metrics);
      }
      progress.step();
    });
  } finally {
    progress.end();
  }
  const seconds = (systemClock.monotonic() - startedAt) / 1000;
  return {
    answers,
    version,
    speed: {
      concurrency,
      seconds,
      photos_per_s: photos.length / seconds,
      latency_ms: {
        p50: percentile(latenciesMs, 0.5),
        p95: percentile(latenciesMs, 0.95),
        p99: percentile(latenciesMs, 0.99),
      },
      parts_ms: meanParts(parts),
    },
  };
}

/** A gateway that is away, or a model that is not there, is no answer of the model: it ends the evaluation. */
const FATAL: ReadonlySet<string> = new Set(['unreachable', 'model_not_found', 'bad_parameter', 'no_worker']);

function answerOf(photo: Photo, outcome: Prediction | PosternError): Answer {
  const unanswered = {
    class: photo.class,
    source: photo.source,
    predictions: [],
    rejected: false,
    unsure: false,
    rejectScore: null,
  };
  if (outcome instanceof PosternError) {
    if (FATAL.has(outcome.code)) throw outcome;
    return { ...unanswered, failed: outcome.code };
  }
  if (outcome.status !== 'succeeded') return { ...unanswered, failed: outcome.error_code ?? outcome.status };
  if (!isClassification(outcome.output)) {
    throw new PosternError('output_invalid', 'the model does not classify images: its output has no predictions');
  }
  const { predictions, rejected, unsure = false, reject_score: rejectScore = null } = outcome.output;
  return { class: photo.class, source: photo.source, predictions, rejected, unsure, rejectScore, failed: null };
}

function meanParts(parts: readonly Record<string, number>[]): Record<string, number> {
  const names = Object.keys(parts[0] ?? {}).filter((name) => name.endsWith('_ms'));
  return Object.fromEntries(
    names.map((name) => [name, parts.reduce((sum, part) => sum + (part[name] ?? 0), 0) / parts.length]),
  );
}

const labelsFile = z.object({ aliases: z.record(z.string(), z.string()).optional() });

/** Which classes the model merged, and which label means none: from its folder, when it lies on this machine. */
async function readLabels(folder: string, version: string | null): Promise<Labels> {
  if (version === null) return { aliases: {}, rejectLabel: null };
  let text: string;
  try {
    text = await readFile(join(folder, version, 'postern.yaml'), 'utf8');
  } catch (error) {
    throw new PosternError(
      'config_invalid',
      `the merged classes are in the model's folder, and ${join(folder, version)} cannot be read: set POSTERN_MODELS_DIR to the repository that the worker serves`,
      { cause: error },
    );
  }
  const manifest = parseManifest(text);
  if (manifest.kind !== 'image-classification') return { aliases: {}, rejectLabel: null };
  const { aliases = {} } = labelsFile.parse(
    JSON.parse(await readFile(join(folder, version, manifest.output.labels), 'utf8')),
  );
  return { aliases, rejectLabel: manifest.output.reject?.label ?? null };
}
