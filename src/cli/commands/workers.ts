/** `postern workers`: which machines hold a session with the gateway. */
import type { Command } from 'commander';
import { systemClock } from '../../clock.ts';
import {
  clientFor,
  EXIT_CODES_HELP,
  gatewayOption,
  jsonOption,
  keyFileOption,
  type CallerOptions,
} from '../options.ts';
import { duration, paint, printable, table } from '../terminal.ts';

export function addWorkers(program: Command): void {
  program
    .command('workers')
    .description('list the workers, their link and their certificates')
    .addOption(gatewayOption())
    .addOption(keyFileOption())
    .addOption(jsonOption('print JSON'))
    .addHelpText('after', `\nExamples:\n  postern workers\n  postern workers --json\n${EXIT_CODES_HELP}`)
    .action(async (options: CallerOptions) => {
      const workers = await clientFor(options).workers();
      if (options.json === true) {
        process.stdout.write(`${JSON.stringify(workers, null, 2)}\n`);
        return;
      }
      if (workers.length === 0) {
        process.stdout.write(
          'No worker has connected. Start one with: postern worker (and check its link with: postern doctor)\n',
        );
        return;
      }
      const now = systemClock.now();
      const ago = (time: string): string => duration(Math.max(0, now - Date.parse(time)) / 1000);
      const rows = workers.map((worker) => [
        printable(worker.name),
        paint(process.stdout, worker.state === 'connected' ? 'green' : 'yellow', worker.state),
        printable(worker.address),
        worker.round_trip_ms === null ? '–' : `${worker.round_trip_ms.toFixed(1)} ms`,
        worker.state === 'away' ? `seen ${ago(worker.last_seen_at)} ago` : ago(worker.connected_at),
        `${Math.floor((Date.parse(worker.certificate_ends_at) - now) / 86_400_000)} days`,
        worker.models.map((model) => printable(`${model.name}/${model.version} ${model.state}`)).join(', '),
      ]);
      process.stdout.write(
        table(
          [
            { title: 'WORKER' },
            { title: 'STATE' },
            { title: 'ADDRESS' },
            { title: 'ROUND TRIP', right: true },
            { title: 'CONNECTED', right: true },
            { title: 'CERTIFICATE', right: true },
            { title: 'MODELS' },
          ],
          rows,
        ),
      );
    });
}
