/** Shows a deploy: one line a step for people, with a bar while bytes travel; one JSON line an event for programs. */
import type { DeployResult } from '../deploy/remote/deploy.ts';
import { STEPS, type DeployEvent } from '../deploy/remote/steps.ts';
import { paint, printable } from './terminal.ts';

export interface DeployReport {
  readonly event: (event: DeployEvent) => void;
  result(result: DeployResult): void;
  /** Leaves the terminal as it was. */
  end(): void;
}

const TITLE_WIDTH = Math.max(...Object.values(STEPS).map(({ length }) => length));
const BAR_CELLS = 24;
/** Without a terminal a line is written each time so much more has been sent. */
const LINE_EVERY = 0.25;

export function createDeployReport({ json }: { readonly json: boolean }): DeployReport {
  if (json) {
    const line = (value: object): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
    return { event: line, result: (result) => line({ type: 'result', ...result }), end: () => undefined };
  }
  const out = process.stdout;
  let written = 0;
  let open = false;
  const clear = (): void => {
    if (open && out.isTTY) out.write('\r\u001b[2K');
    open = false;
  };
  const line = (text: string): void => {
    clear();
    out.write(`${text}\n`);
  };
  const live = (text: string): void => {
    if (!out.isTTY) return;
    out.write(`\r\u001b[2K${text}`);
    open = true;
  };
  const titled = (step: DeployEvent['step']): string => STEPS[step].padEnd(TITLE_WIDTH);

  return {
    event: (event) => {
      switch (event.type) {
        case 'begin':
          written = 0;
          live(`  ${titled(event.step)}  …`);
          return;
        case 'note':
          line(paint(out, 'dim', `  ${' '.repeat(TITLE_WIDTH)}  ${printable(event.text)}`));
          return;
        case 'bytes': {
          const share = event.total === 0 ? 1 : event.done / event.total;
          if (out.isTTY) live(`  ${titled(event.step)}  ${bar(share)}  ${mibOf(event.done)} of ${mibOf(event.total)}`);
          else if (share >= written + LINE_EVERY) {
            written = share;
            line(`  ${titled(event.step)}  ${Math.floor(share * 100)} %`);
          }
          return;
        }
        case 'done': {
          const took = event.took_ms < 1000 ? '' : paint(out, 'dim', `  (${(event.took_ms / 1000).toFixed(1)} s)`);
          line(`${paint(out, 'green', '✔')} ${titled(event.step)}  ${printable(event.text)}${took}`);
          return;
        }
        case 'failed':
          // Why is said once, by the error that ends the command.
          line(`${paint(out, 'red', '✘')} ${titled(event.step)}`);
          return;
        default:
          event satisfies never;
      }
    },
    result({ dry_run: dry, release, target, took_ms: took }) {
      if (dry) return line('\nNothing was changed.');
      line(`\n${paint(out, 'bold', release)} serves on ${printable(target)}, after ${(took / 1000).toFixed(1)} s.`);
    },
    end: clear,
  };
}

const bar = (share: number): string => {
  const filled = Math.round(Math.min(1, share) * BAR_CELLS);
  return '█'.repeat(filled) + '░'.repeat(BAR_CELLS - filled);
};
const mibOf = (bytes: number): string => `${(bytes / 1048576).toFixed(1)} MiB`;
