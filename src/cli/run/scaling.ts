/** Shows how many machines are wanted. */
import type { ScalingSummary } from '../../client/shapes.ts';
import { clientFor, type CallerOptions } from '../options.ts';
import { paint, printable, table } from '../terminal.ts';

export interface ScalingOptions extends CallerOptions {
  readonly model?: string;
  readonly target: Readonly<Record<string, number>>;
}

const seconds = (value: number): string => `${value.toFixed(1)} s`;

const wanted = (has: number, wants: number): string =>
  paint(process.stdout, wants === has ? 'green' : 'yellow', String(wants));

export async function scaling(options: ScalingOptions): Promise<void> {
  const summary = await clientFor(options).scaling(options.model ?? null, options.target);
  if (options.json === true) process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
  else process.stdout.write(`${modelTable(summary)}\n${gatewayTable(summary)}`);
}

function modelTable({ models }: ScalingSummary): string {
  if (models.length === 0) return 'no worker has announced a model yet\n';
  return table(
    [
      { title: 'MODEL' },
      { title: 'WORKERS', right: true },
      { title: 'WANTED', right: true },
      { title: 'WHY' },
      { title: 'QUEUE', right: true },
      { title: 'OLDEST', right: true },
      { title: 'WAITING', right: true },
      { title: 'BUSY ROWS', right: true },
      { title: 'DONE', right: true },
    ],
    models.map((one) => [
      printable(one.model),
      String(one.workers),
      wanted(one.workers, one.wanted_workers),
      printable(one.reason),
      seconds(one.queue_s),
      seconds(one.oldest_s),
      String(one.waiting_jobs),
      `${one.busy_rows.toFixed(1)} of ${one.capacity_rows}`,
      `${one.rows_per_s.toFixed(1)}/s`,
    ]),
  );
}

function gatewayTable({ gateways: { count, wanted: wants, reason, members } }: ScalingSummary): string {
  const rows = members.map(({ id, state, loop, cpu_cores: cores, connections, sessions }) => [
    printable(id),
    paint(process.stdout, state === 'serving' ? 'green' : 'yellow', state),
    `${(loop * 100).toFixed(0)} %`,
    cores.toFixed(2),
    String(connections),
    String(sessions),
  ]);
  const columns = [
    { title: 'GATEWAY' },
    { title: 'STATE' },
    { title: 'EVENT LOOP', right: true },
    { title: 'CORES', right: true },
    { title: 'CONNECTIONS', right: true },
    { title: 'WORKERS', right: true },
  ];
  return `${table(columns, rows)}${count} serve, ${wanted(count, wants)} wanted (${printable(reason)})\n`;
}
