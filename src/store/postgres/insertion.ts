/** A batch of submissions as one statement, `submit_2`: what jobs have in common is told once a line, and the rest as arrays. */
import { hostOf } from '../../dispatch/delivery.ts';
import type { SubmittedJob } from '../store.ts';
import { int4s, int8s, texts } from './arrays.ts';
import type { Statement } from './connection.ts';
import { createParcel, toRows } from './rows.ts';

export interface Item {
  readonly job: SubmittedJob;
  readonly blob: string | null;
  readonly digest: string | null;
  /** It may have been added by a try whose answer was lost. */
  inDoubt: boolean;
}

/** The answer where nothing was written, because a bound may be too near. */
export const NEAR_BOUNDS = -1;

const EVENT_BITS = { start: 1, completed: 2 } as const;

/** Jobs that stand in one line for one caller, and are counted together. */
interface Line {
  readonly k: number;
  readonly model: string;
  readonly version: string;
  readonly priority: number;
  readonly caller: string;
  jobs: number;
  rows: number;
  bytes: number;
}

function createLines() {
  const lines = new Map<string, Line>();
  const offsets = new Map<string, number>();
  return {
    all: (): Line[] => [...lines.values()],
    /** Its line, and how many rows of its caller are before it there. */
    join({ model, version, priority, caller, rows, input }: SubmittedJob): { k: number; offset: number } {
      const fair = `${priority}\n${caller}\n${model}`;
      const offset = offsets.get(fair) ?? 0;
      offsets.set(fair, offset + rows);
      const name = `${fair}\n${version ?? ''}`;
      let line = lines.get(name);
      if (line === undefined) {
        line = { k: lines.size, model, version: version ?? '', priority, caller, jobs: 0, rows: 0, bytes: 0 };
        lines.set(name, line);
      }
      line.jobs += 1;
      line.rows += rows;
      line.bytes += input.bytes.byteLength;
      return { k: line.k, offset };
    },
  };
}

/** `rest`: what `submit_2` is told beside the jobs. */
export function insertion(items: readonly Item[], rest: readonly unknown[]): Statement {
  const parcel = createParcel();
  const lines = createLines();
  const places = items.map(({ job }) => lines.join(job));
  const of = <T>(value: (item: Item) => T): T[] => items.map(value);
  const ofHook = <T>(value: (webhook: NonNullable<SubmittedJob['webhook']>) => T): (T | null)[] =>
    items.map(({ job }) => (job.webhook === null ? null : value(job.webhook)));
  const values = [
    toRows(lines.all()),
    int4s(places.map(({ k }) => k)),
    int8s(places.map(({ offset }) => offset)),
    texts(of(({ job }) => job.id)),
    texts(of(({ job }) => job.input.contentType)),
    texts(of(({ job }) => JSON.stringify(job.parameters))),
    int4s(of(({ job }) => job.rows)),
    int8s(of(({ job }) => job.deadlineAt)),
    texts(of(({ job }) => job.idempotencyKey)),
    texts(of(({ digest }) => digest)),
    texts(ofHook((webhook) => JSON.stringify(webhook))),
    texts(ofHook(({ url }) => url)),
    texts(ofHook(({ url }) => hostOf(url))),
    int4s(ofHook(({ events }) => events.reduce((bits, event) => bits | EVENT_BITS[event], 0))),
    int8s(of(({ job }) => job.input.bytes.byteLength)),
    int4s(of(({ job, blob }) => (blob === null ? parcel.add(job.input.bytes) : 0))),
    texts(of(({ blob }) => blob)),
    parcel.bytes(),
    ...rest,
  ];
  const parameters = values.map((_, index) => `$${index + 1}`).join(', ');
  return { text: `SELECT postern.submit_2(${parameters})`, values };
}
