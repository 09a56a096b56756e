/** The evaluation as a person reads it. */
import { paint, printable, table } from '../terminal.ts';
import type { Accuracy, Figures } from './figures.ts';
import type { TargetResult } from './targets.ts';

export interface Speed {
  readonly concurrency: number;
  readonly seconds: number;
  readonly photos_per_s: number;
  /** As the caller sees it, milliseconds. */
  readonly latency_ms: { readonly p50: number; readonly p95: number; readonly p99: number };
  /** Means of the parts, milliseconds. */
  readonly parts_ms: Readonly<Record<string, number>>;
}

export interface EvaluationReport extends Figures {
  readonly model: string;
  readonly version: string | null;
  readonly split: string;
  readonly speed: Speed;
  readonly targets: readonly TargetResult[];
}

const percent = (value: number): string => `${(value * 100).toFixed(2)} %`;
const right = { right: true } as const;

export function describeReport(report: EvaluationReport, stream: { isTTY?: boolean } = process.stdout): string {
  const { accuracy, as_labelled: asLabelled, merged, calibration, rejection, danger, speed } = report;
  const lines = [
    `${report.model}${report.version === null ? '' : `/${report.version}`}, split ${report.split}: ${report.photos} photos, ${report.failed} without an answer`,
    '',
    table(
      [
        { title: 'PHOTOS OF WHAT THE MODEL KNOWS' },
        { title: 'PHOTOS', ...right },
        { title: 'TOP-1', ...right },
        { title: 'TOP-5', ...right },
        { title: 'REJECTED', ...right },
      ],
      [
        accuracyRow('all, by the label of the model', accuracy),
        // The other ways to count, where they make a difference.
        ...Object.entries({
          'all, as if nothing were rejected': report.before_rejection,
          'all, by the class of the manifest': asLabelled,
          'all, by verdict group': merged,
        })
          .filter(([, other]) => other.top1 !== accuracy.top1 || other.top5 !== accuracy.top5)
          .map(([name, other]) => accuracyRow(name, other)),
        ...Object.entries(report.by_source)
          .filter(([name]) => name !== '')
          .map(([name, value]) => accuracyRow(`source ${name}`, value)),
      ],
    ),
    `Calibration error (15 bins)          ${calibration.ece.toFixed(4)}`,
  ];
  if (rejection !== null) {
    lines.push(
      `Rejected of ${String(rejection.photos).padEnd(5)} that are none     ${percent(rejection.recall)}`,
      `Rejected of those that are one       ${percent(rejection.false_reject)}`,
    );
  }
  if (danger !== null) {
    lines.push(
      `No dangerous species among five shown, of ${danger.photos} photos of dangerous ones: ${percent(danger.missed_in_top5)} (${percent(danger.missed_in_top5_when_shown)} of those not rejected)`,
      ...danger.verdicts.map(
        ({ threshold, recall, specificity }) =>
          `Verdict at a summed probability of ${threshold}: recall ${percent(recall)}, specificity ${percent(specificity)}`,
      ),
    );
  }
  lines.push(
    '',
    `${speed.photos_per_s.toFixed(1)} photos/s with ${speed.concurrency} under way; latency p50 ${speed.latency_ms.p50.toFixed(1)} ms, p95 ${speed.latency_ms.p95.toFixed(1)} ms, p99 ${speed.latency_ms.p99.toFixed(1)} ms`,
    Object.entries(speed.parts_ms)
      .map(([part, ms]) => `${part.replace(/_ms$/, '').replaceAll('_', ' ')} ${ms.toFixed(2)} ms`)
      .join(', '),
  );
  if (report.targets.length > 0) {
    const rows = report.targets.map(({ figure, wanted, got, met }) => [
      paint(stream, met ? 'green' : 'red', met ? 'met' : 'MISSED'),
      figure,
      wanted,
      got.toFixed(4),
    ]);
    lines.push(
      '',
      table(
        [{ title: 'TARGET' }, { title: 'FIGURE' }, { title: 'WANTED' }, { title: 'GOT', ...right }],
        rows,
      ).trimEnd(),
    );
  }
  return `${lines.join('\n')}\n`;
}

function accuracyRow(name: string, { photos, top1, top5, rejected }: Accuracy): string[] {
  return [printable(name), String(photos), percent(top1), percent(top5), percent(rejected)];
}
