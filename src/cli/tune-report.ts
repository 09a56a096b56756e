/** What `postern models tune` found, for people: a table, a chart, and the lines for `postern.yaml`. */
import type { Measurement, TuneSettings } from '../worker/tune/measure.ts';
import { paint, printable, table } from './terminal.ts';

export interface Tuning {
  readonly model: string;
  readonly version: string;
  readonly cores: number;
  readonly max_ms: number;
  readonly now: TuneSettings;
  readonly proposed: Measurement | null;
  readonly measured: readonly Measurement[];
}

const BAR_CELLS = 40;
/** Less than this is within what two measurements differ by. */
const WORTH = 1.05;

/** Where each setting stands in `postern.yaml`. */
export const yamlOf = ({ rows, concurrency, threads }: TuneSettings): [string[], number][] => [
  [['batch', 'max_rows'], rows],
  [['concurrency'], concurrency],
  [['threads'], threads],
];

export function describeTuning(tuning: Tuning, takesRows: boolean): string {
  const { measured, proposed, now } = tuning;
  const parts = [describeTable(measured, proposed, now)];
  if (proposed !== null) parts.push(describeChart(measured, proposed));
  if (!takesRows) {
    parts.push(
      'batch.max_rows is 1, so inputs are never put together and only that was tried. If the first dimension of every tensor is\nthe row, set it to 2 and tune again.\n',
    );
  }
  parts.push(describeProposal(tuning));
  return parts.join('\n');
}

const same = (a: TuneSettings, b: TuneSettings): boolean =>
  a.rows === b.rows && a.concurrency === b.concurrency && a.threads === b.threads;

function describeTable(measured: readonly Measurement[], proposed: Measurement | null, now: TuneSettings): string {
  const right = { right: true };
  return table(
    [
      { title: 'INSTANCES', ...right },
      { title: 'THREADS', ...right },
      { title: 'ROWS', ...right },
      { title: 'ROWS/S', ...right },
      { title: 'BATCH P50', ...right },
      { title: 'P99', ...right },
      { title: '' },
    ],
    measured.map((point) => [
      String(point.concurrency),
      threadsText(point.threads),
      String(point.rows),
      rate(point.rows_per_s),
      milliseconds(point.batch_p50_ms),
      milliseconds(point.batch_p99_ms),
      [
        proposed !== null && same(point, proposed) ? paint(process.stdout, 'green', '← proposed') : '',
        same(point, now) ? paint(process.stdout, 'dim', '← now') : '',
      ]
        .filter((mark) => mark !== '')
        .join(' '),
    ]),
  );
}

/** How the rows of a batch pay, with the instances and threads that are proposed. */
function describeChart(measured: readonly Measurement[], proposed: Measurement): string {
  const points = measured.filter(
    ({ concurrency, threads }) => concurrency === proposed.concurrency && threads === proposed.threads,
  );
  const most = Math.max(...points.map(({ rows_per_s }) => rows_per_s));
  const lines = points.map((point) => {
    const bar = '█'.repeat(Math.max(1, Math.round((point.rows_per_s / most) * BAR_CELLS)));
    const colour = same(point, proposed) ? 'green' : 'cyan';
    return `${String(point.rows).padStart(5)}  ${paint(process.stdout, colour, bar.padEnd(BAR_CELLS))}  ${rate(point.rows_per_s)}\n`;
  });
  const { concurrency, threads } = proposed;
  const title = `Rows of a batch → rows a second, with ${concurrency} ${concurrency === 1 ? 'instance' : 'instances'} of ${threadsText(threads)} ${threads === 1 ? 'thread' : 'threads'}`;
  return `${title}\n${lines.join('')}`;
}

function describeProposal({ model, version, cores, max_ms, now, proposed, measured }: Tuning): string {
  const name = printable(`${model}@${version}`);
  if (proposed === null) {
    return `No setting answers a batch within ${max_ms} ms: allow more (--max-ms), or use a smaller network.\n`;
  }
  const present = measured.find((point) => same(point, now));
  const gain = present === undefined ? null : proposed.rows_per_s / present.rows_per_s;
  if (gain !== null && gain < WORTH && present!.batch_p50_ms <= proposed.batch_p50_ms * WORTH) {
    return `What postern.yaml says is as good as anything that was tried (${rate(present!.rows_per_s)} rows/s).\n`;
  }
  const change = gain === null ? '' : `, ${gain.toFixed(2)} × what it gives now`;
  return `For ${name} on this machine (${cores} cores): ${rate(proposed.rows_per_s)} rows/s${change}

batch: { max_rows: ${proposed.rows}, max_delay_ms: 0 }
concurrency: ${proposed.concurrency}
threads: ${proposed.threads}
`;
}

const threadsText = (threads: number): string => (threads === 0 ? 'auto' : String(threads));
const rate = (value: number): string => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3));
const milliseconds = (value: number): string => `${value >= 100 ? Math.round(value) : value.toPrecision(2)} ms`;
