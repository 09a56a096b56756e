/** What a loaded store acknowledged, over all lives of the process, and whether the store still stands by it. */
import type { Store } from '../../src/store/store.ts';
import { claimOf, contentOf, fenceOf, sessionsOf, succeeded } from './load.ts';

export interface StoreJournal {
  readonly accepted: Set<string>;
  /** The attempt whose output was committed. */
  readonly decided: Map<string, number>;
  readonly canceled: Set<string>;
  readonly errors: Map<string, number>;
  readonly problems: string[];
  /** Takes what one life wrote; a last line without an end is not yet said. */
  read(text: string): void;
}

export function createStoreJournal(): StoreJournal {
  const accepted = new Set<string>();
  const decided = new Map<string, number>();
  const canceled = new Set<string>();
  const errors = new Map<string, number>();
  const problems: string[] = [];

  function line(words: readonly string[]): void {
    const [kind, id = '', rest = ''] = words;
    if (kind === 'A') accepted.add(id);
    else if (kind === 'K') canceled.add(id);
    else if (kind === 'E') errors.set(id, (errors.get(id) ?? 0) + 1);
    else if (kind === 'D') {
      if (decided.has(id)) problems.push(`${id} was decided twice`);
      decided.set(id, Number(rest));
    } else if (kind === 'X') problems.push(words.slice(1).join(' '));
  }

  return {
    accepted,
    decided,
    canceled,
    errors,
    problems,
    read(text) {
      for (const one of text.split('\n').slice(0, -1)) line(one.split(' '));
    },
  };
}

/** Everything that is not as it was acknowledged. */
export async function compare(store: Store, journal: StoreJournal): Promise<string[]> {
  const problems = [...journal.problems];
  for (const id of journal.accepted) {
    const job = await store.get(id);
    if (job === null) {
      problems.push(`${id} was accepted and is lost`);
      continue;
    }
    const attempt = journal.decided.get(id);
    if (attempt !== undefined) {
      if (job.status !== 'succeeded') problems.push(`${id} was decided and is ${job.status}`);
      else if (!contentOf(id, attempt).equals(job.output?.bytes ?? Buffer.alloc(0))) problems.push(`${id} changed`);
    }
    if (journal.canceled.has(id) && job.status !== 'canceled') problems.push(`${id} was canceled and is ${job.status}`);
  }
  return problems;
}

/** Runs whatever is left, so that nothing waits for ever; returns what went wrong. */
export async function finish(store: Store): Promise<string[]> {
  const problems: string[] = [];
  for (const session of await sessionsOf(store)) await store.release(session, 'free');
  for (;;) {
    const [claimed] = await store.claim([claimOf('last', 1_000)]);
    const jobs = claimed?.jobs ?? [];
    if (jobs.length === 0) break;
    for (const { id, input } of jobs) {
      if (!contentOf(id, 0).equals(input.bytes)) problems.push(`${id} came back with another input`);
    }
    const outcomes = await store.settle(jobs.map((job) => ({ fence: fenceOf(job), outcome: succeeded(job) })));
    for (const { type } of outcomes) if (type !== 'applied') problems.push(`a job was ${type} at the end`);
  }
  for (const [model, counts] of await store.counts()) {
    const { waitingJobs, waitingRows, processingJobs } = counts;
    if (waitingJobs + waitingRows + processingJobs > 0)
      problems.push(`${model} still counts ${JSON.stringify(counts)}`);
  }
  return problems;
}
