/** What `postern up` says when it is ready: where it is, what it serves, and a line to try. */
import { paint, printable, textWidth } from './terminal.ts';
import type { ModelSummary } from '../client/shapes.ts';
import { VERSION } from './version.ts';

const MAX_CURL_LINES = 3;

export interface BannerFacts {
  readonly url: string;
  readonly tunnelPort: number;
  readonly models: readonly ModelSummary[];
  readonly modelsDir: string;
  readonly startMs: number;
}

export function banner(
  { url, tunnelPort, models, modelsDir, startMs }: BannerFacts,
  stream: { isTTY?: boolean } = process.stdout,
): string {
  const width = Math.max(...models.map((model) => textWidth(model.name)), 0);
  const modelLines = models.map((model) => {
    const mark = model.state === 'ready' ? paint(stream, 'green', '✓') : paint(stream, 'red', '✗');
    const name = printable(model.name) + ' '.repeat(width - textWidth(model.name));
    return `  ${mark} ${name}  ${model.state.padEnd(7)}  ${paint(stream, 'dim', printable(remark(model)))}`;
  });
  if (models.length === 0) modelLines.push(`  no model in ${modelsDir}`);
  return [
    '',
    `  ${paint(stream, 'bold', `Postern ${VERSION}`)} is ready ${paint(stream, 'dim', `after ${(startMs / 1000).toFixed(1)} s`)}`,
    '',
    `  ${paint(stream, 'bold', url)}        a page to try it, and the API (${url}/docs)`,
    `  worker "local" joined by mutual TLS through 127.0.0.1:${tunnelPort}`,
    '',
    ...modelLines,
    '',
    ...curlLines(url, models),
    '',
    paint(stream, 'dim', '  Ctrl-C finishes what runs and stops.'),
    '',
    '',
  ].join('\n');
}

function remark({ state, description, kind }: ModelSummary): string {
  if (state === 'ready') return description ?? kind;
  return state === 'failed' ? 'the log above says why' : 'still loading: see postern models';
}

/** Lines that work as they stand, but for the name of the photo. */
function curlLines(url: string, models: readonly ModelSummary[]): string[] {
  const lines = models
    .filter(({ kind, state }) => kind === 'image-classification' && state === 'ready')
    .map(({ name }) => `  curl -F image=@photo.jpg ${url}/v1/models/local/${name}/predictions -H 'Prefer: wait'`);
  return lines.length === 0 ? [`  curl ${url}/v1/models`] : lines.slice(0, MAX_CURL_LINES);
}
