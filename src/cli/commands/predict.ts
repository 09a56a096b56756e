/** `postern predict`: files in, answers out. One file gets its whole answer, many get a line each. */
import { InvalidArgumentError, type Command } from 'commander';
import { readFile, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { systemClock } from '../../clock.ts';
import { isErrorCode, PosternError, toPosternError } from '../../errors.ts';
import type { Client } from '../../client/client.ts';
import { isClassification, type Classification, type Prediction } from '../../client/shapes.ts';
import { EXIT_FAILED, EXIT_OK } from '../exit.ts';
import { clientFor, gatewayOption, integer, jsonOption, keyFileOption, type CallerOptions } from '../options.ts';
import { predictStream } from '../predict-stream.ts';
import { forEachConcurrently } from '../../concurrency.ts';
import { createProgress, paint, printable, table } from '../terminal.ts';

interface PredictFlags extends CallerOptions {
  readonly concurrency: number;
  readonly top?: number;
  readonly timeout: number;
  readonly stream?: boolean;
  readonly param: Readonly<Record<string, string>>;
}

type Answer =
  | { readonly file: string; readonly ms: number; readonly prediction: Prediction }
  | { readonly file: string; readonly ms: number; readonly error: PosternError };

export function addPredict(program: Command): void {
  program
    .command('predict')
    .description('run a model on files')
    .argument('<model>', 'name of the model, as in `postern models`')
    .argument('<file...>', 'files to send, one prediction each')
    .option('--concurrency <n>', 'files under way at once', integer(1, 256), 8)
    .option('--top <k>', 'labels to show (default: as the model says)', integer(1, 20))
    .option('--param <name=value>', 'a parameter of the model; may be given several times', parameter, {})
    .option('--stream', 'print the output of one file as it comes')
    .option('--timeout <s>', 'seconds after which a file is given up', integer(1, 86_400), 300)
    .addOption(gatewayOption())
    .addOption(keyFileOption())
    .addOption(jsonOption('print one JSON line per file'))
    .addHelpText(
      'after',
      `
Examples:
  postern predict plants rose.jpg
  postern predict plants *.jpg --concurrency 16
  postern predict story prompt.txt --stream --param max_tokens=200
  postern predict plants *.jpg --json | jq -r '[.file, .output.predictions[0].label] | @tsv'

Exit codes: 0 every file was answered, 1 at least one was not, 2 the command or the settings were wrong.`,
    )
    .action(async (model: string, files: string[], flags: PredictFlags) => {
      process.exitCode = await predictFiles(clientFor(flags), model, files, flags);
    });
}

/** Collects `name=value`, as often as it is given. */
function parameter(text: string, earlier: Readonly<Record<string, string>>): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Expected name=value.');
  return { ...earlier, [text.slice(0, at)]: text.slice(at + 1) };
}

function parametersOf(flags: PredictFlags): Record<string, string> {
  return { ...flags.param, ...(flags.top === undefined ? {} : { top_k: String(flags.top) }) };
}

async function predictFiles(client: Client, model: string, files: string[], flags: PredictFlags): Promise<number> {
  if (flags.stream === true) return streamFile(client, model, files, flags);
  // On a terminal the lines of JSON would be written into the bar.
  const quiet = flags.json === true && process.stdout.isTTY;
  const progress = createProgress(quiet ? 0 : files.length, 'files');
  const answers: Answer[] = [];
  await forEachConcurrently(files, flags.concurrency, async (file, index) => {
    const answer = await predictFile(client, model, file, flags);
    answers[index] = answer;
    // JSON lines come as they are ready: the reader of a long list need not wait for its end.
    if (flags.json === true) process.stdout.write(`${jsonLine(answer)}\n`);
    progress.step();
  });
  progress.end();
  if (flags.json !== true) process.stdout.write(files.length === 1 ? describeOne(answers) : describeMany(answers));
  for (const answer of answers) {
    if ('error' in answer && flags.json !== true) {
      process.stderr.write(`postern: ${printable(`${answer.file}: ${answer.error.message}`)} (${answer.error.code})\n`);
    }
  }
  return answers.some((answer) => 'error' in answer) ? EXIT_FAILED : EXIT_OK;
}

async function predictFile(client: Client, model: string, file: string, flags: PredictFlags): Promise<Answer> {
  const startedAt = systemClock.monotonic();
  const elapsedMs = (): number => Math.round((systemClock.monotonic() - startedAt) * 10) / 10;
  try {
    const input = new Blob([await readInput(file)], { type: contentTypeOf(file) });
    const prediction = await client.run(model, input, {
      cancelAfterS: flags.timeout,
      timeoutMs: flags.timeout * 1000,
      parameters: parametersOf(flags),
    });
    if (prediction.status !== 'succeeded') throw failureOf(prediction);
    return { file, ms: elapsedMs(), prediction };
  } catch (error) {
    const known = toPosternError(error);
    // One gateway that is away is one problem, not one for each file.
    if (known.code === 'unreachable' || known.code === 'model_not_found') throw known;
    return { file, ms: elapsedMs(), error: known };
  }
}

async function streamFile(client: Client, model: string, files: string[], flags: PredictFlags): Promise<number> {
  const [file = '', ...others] = files;
  if (others.length > 0) throw new PosternError('config_invalid', '--stream takes one file');
  const bytes = await readInput(file).catch((error: unknown) => {
    const { code, message } = toPosternError(error);
    throw new PosternError(code, `${file}: ${message}`, { cause: error });
  });
  const input = new Blob([bytes], { type: contentTypeOf(file) });
  const options = { parameters: parametersOf(flags), cancelAfterS: flags.timeout };
  return predictStream(client, { model, input, options, json: flags.json === true });
}

/** Larger than any body limit: better said before it is read into memory. */
const MAX_INPUT_BYTES = 64 * 1024 * 1024;

async function readInput(file: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const { size } = await stat(file);
    if (size <= MAX_INPUT_BYTES) return await readFile(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : (error as Error).message;
    throw new PosternError('missing_input', `cannot be read: ${why}`, { cause: error });
  }
  throw new PosternError('body_too_large', `is larger than ${MAX_INPUT_BYTES} bytes`);
}

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.png': 'image/png',
  '.webp': 'image/webp',
  '.gif': 'image/gif',
  '.avif': 'image/avif',
  '.heic': 'image/heic',
  '.tif': 'image/tiff',
  '.tiff': 'image/tiff',
};

const contentTypeOf = (file: string): string =>
  CONTENT_TYPES[extname(file).toLowerCase()] ?? 'application/octet-stream';

function failureOf({ status, error, error_code: code }: Prediction): PosternError {
  return new PosternError(isErrorCode(code) ? code : 'model_failed', error ?? `the prediction ended as ${status}`);
}

function jsonLine(answer: Answer): string {
  const { file, ms } = answer;
  if ('error' in answer)
    return JSON.stringify({
      file,
      ms,
      status: 'failed',
      error: { code: answer.error.code, message: answer.error.message },
    });
  const { id, status, output } = answer.prediction;
  return JSON.stringify({ file, ms, id, status, output });
}

const score = (value: number): string => `${(value * 100).toFixed(1)} %`;

/** What an answer says in one phrase: the label, or that it is none. */
function headline(output: Classification): string {
  if (output.rejected) return 'rejected: none of the things that the model knows';
  return `${printable(output.predictions[0]?.label ?? '–')}${output.unsure === true ? ' (unsure)' : ''}`;
}

function describeOne(answers: readonly Answer[]): string {
  const [answer] = answers;
  if (answer === undefined || 'error' in answer) return '';
  const { output } = answer.prediction;
  if (!isClassification(output))
    return `${typeof output === 'string' ? printable(output) : JSON.stringify(output, null, 2)}\n`;
  const rows = output.predictions.map(({ label, score: value }, i) => [
    i === 0 && !output.rejected ? paint(process.stdout, 'bold', printable(label)) : printable(label),
    score(value),
    paint(process.stdout, 'green', '█'.repeat(Math.round(value * 20))),
  ]);
  const note = output.rejected || output.unsure === true ? `${headline(output)}\n\n` : '';
  return note + table([{ title: 'LABEL' }, { title: 'SCORE', right: true }, { title: '' }], rows);
}

function describeMany(answers: readonly Answer[]): string {
  const rows = answers.map((answer) => {
    const file = printable(answer.file);
    if ('error' in answer)
      return [file, paint(process.stdout, 'red', `failed: ${answer.error.code}`), '', `${answer.ms} ms`];
    const { output } = answer.prediction;
    if (!isClassification(output)) return [file, printable(JSON.stringify(output)).slice(0, 60), '', `${answer.ms} ms`];
    const top = output.rejected ? output.reject_score : output.predictions[0]?.score;
    return [file, headline(output), top === undefined ? '' : score(top), `${answer.ms} ms`];
  });
  return table(
    [{ title: 'FILE' }, { title: 'ANSWER' }, { title: 'SCORE', right: true }, { title: 'TIME', right: true }],
    rows,
  );
}
