/**
 * What may never be, checked from outside while it happens: the worker's and the gateway's own arithmetic is not asked. Owner of the
 * violations.
 */
import type { Fence, Job } from '../../../src/dispatch/job.ts';
import { TERMINAL } from '../../../src/dispatch/job.ts';
import type { Timeline } from './timeline.ts';

/** One model at one worker. */
export interface Account {
  readonly name: string;
  readonly capacityRows: number;
  /** By link: what its gateway may still send. */
  readonly granted: Map<string, number>;
  grantedRows: number;
  runningRows: number;
}

/** A worker that has begun an attempt. */
export interface Holder {
  readonly name: string;
  /** A gateway is there, and long enough for the worker to have told it what it holds. */
  readonly isHeard: boolean;
}

/** More of them say nothing new. */
const MAX_VIOLATIONS = 20;

const keyOf = (id: string, attempt: number): string => `${id} ${attempt}`;

export type Books = ReturnType<typeof createBooks>;

export function createBooks(timeline: Timeline) {
  const violations: string[] = [];
  let violationCount = 0;
  const undecided = new Set<string>();
  /** Bits: attempts that were begun. Kept for jobs that more than one attempt was made of, and those that run. */
  const begun = new Map<string, number>();
  /** Attempts that workers have, from the assign to the ack. */
  const held = new Map<string, Holder>();
  let accepted = 0;
  let succeeded = 0;
  let failed = 0;
  const accounts: Account[] = [];

  function violation(what: string): void {
    violationCount += 1;
    if (violations.length < MAX_VIOLATIONS) violations.push(`${(timeline.nowMs / 1_000).toFixed(3)} s: ${what}`);
  }

  function checkRows(account: Account): void {
    const { name, capacityRows, grantedRows, runningRows } = account;
    if (grantedRows + runningRows > capacityRows) {
      violation(
        `${name} is over-committed: ${runningRows} run and ${grantedRows} are granted, of ${capacityRows} rows`,
      );
    }
  }

  function change(account: Account, link: string, by: number): void {
    const rows = (account.granted.get(link) ?? 0) + by;
    if (rows < 0) violation(`${account.name} was sent ${-rows} rows beyond what ${link} was granted`);
    account.granted.set(link, rows);
    account.grantedRows += by;
  }

  return {
    violation,
    violations,
    undecided,
    accounts,
    account(name: string, capacityRows: number): Account {
      const account: Account = { name, capacityRows, granted: new Map(), grantedRows: 0, runningRows: 0 };
      accounts.push(account);
      return account;
    },
    accepted(id: string): void {
      accepted += 1;
      undecided.add(id);
    },
    decided({ id, status, attempt }: Job): void {
      if (!TERMINAL.has(status)) return;
      if (!undecided.delete(id)) violation(`${id} was decided twice`);
      begun.delete(id);
      if (status === 'succeeded') succeeded += 1;
      else failed += 1;
      timeline.note(`${id} ${status} ${attempt}`);
    },
    begun(fence: Fence, holder: Holder): void {
      const { job: id, attempt } = fence;
      held.set(keyOf(id, attempt), holder);
      const bit = 2 ** attempt;
      const before = begun.get(id) ?? 0;
      if (Math.floor(before / bit) % 2 === 1)
        violation(`attempt ${attempt} of ${id} was begun twice, by ${holder.name} at last`);
      else begun.set(id, before + bit);
    },
    letGo: ({ job, attempt }: Fence): boolean => held.delete(keyOf(job, attempt)),
    isHeld: (id: string, attempt: number): boolean => held.has(keyOf(id, attempt)),
    /** Somebody else will have them. */
    takenBack(jobs: readonly Job[]): void {
      for (const { id, attempt } of jobs) {
        const holder = held.get(keyOf(id, attempt));
        if (holder?.isHeard === true)
          violation(`attempt ${attempt} of ${id} was taken from ${holder.name}, which has it and is heard`);
      }
    },
    granted(account: Account, link: string, rows: number): void {
      change(account, link, rows);
      checkRows(account);
    },
    /** Its gateway gave them back, and sends nothing on them any more. */
    withdrawn(account: Account, link: string, rows: number): void {
      change(account, link, -rows);
    },
    /** The connection is gone: nothing can come on what was granted. */
    voided(account: Account, link: string): void {
      account.grantedRows -= account.granted.get(link) ?? 0;
      account.granted.delete(link);
    },
    taken(account: Account, link: string, rows: number): void {
      change(account, link, -rows);
      account.runningRows += rows;
      checkRows(account);
    },
    ended(account: Account, rows: number): void {
      account.runningRows -= rows;
    },
    /** Its process is dead: nothing runs there any more, and nothing is owed to it. */
    closed(account: Account): void {
      const index = accounts.indexOf(account);
      if (index >= 0) accounts.splice(index, 1);
    },
    /** After everybody had the time to finish. */
    checkEnd(): void {
      if (undecided.size > 0)
        violation(
          `${undecided.size} accepted jobs were never decided, such as ${[...undecided].slice(0, 3).join(', ')}`,
        );
      for (const { name, capacityRows, grantedRows, runningRows } of accounts) {
        if (runningRows > 0) violation(`${name} still counts ${runningRows} rows as running`);
        if (grantedRows !== capacityRows)
          violation(`${name} has granted ${grantedRows} of ${capacityRows} rows, and nothing runs`);
      }
    },
    get counts() {
      return { accepted, succeeded, failed, undecided: undecided.size, violations: violationCount };
    },
  };
}
