/**
 * Group commit: whatever calls wait are taken into one transaction, and each gets its reply after the one flush. When a group
 * fails for a reason that one of its calls may have brought, each call is tried alone, so that one cannot fail the others;
 * a disk that is full or broken fails them all at once.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { BoundCalls } from './writer-calls.ts';
import type { Leases } from './leases.ts';
import type { Ledger } from './ledger.ts';
import type { Step } from './writer.ts';
import { toErrorMessage, type CallMessage, type ReplyMessage } from './wire.ts';

/** A call that waits, with what it needs to know about its moment. */
export interface WaitingCall {
  readonly call: CallMessage;
  readonly step: Step;
}

export interface GroupCommitParts {
  readonly calls: BoundCalls;
  /** What these two keep in memory follows the transaction. */
  readonly ledger: Ledger;
  readonly leases: Leases;
}

export function createGroupCommit(db: DatabaseSync, { calls, ledger, leases }: GroupCommitParts) {
  const begin = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');

  function run({ call, step }: WaitingCall): unknown {
    const [, name, argument] = call;
    const handler = calls[name as keyof BoundCalls] as (argument: unknown, step: Step) => unknown;
    return handler(argument, step);
  }

  function commitTogether(group: readonly WaitingCall[]): ReplyMessage[] {
    begin.run();
    try {
      const replies = group.map((waiting): ReplyMessage => [waiting.call[0], run(waiting)]);
      ledger.flush();
      commit.run();
      leases.committed();
      return replies;
    } catch (error) {
      ledger.forget();
      leases.rolledBack();
      // SQLite has rolled back already after some errors.
      if (db.isTransaction) db.exec('ROLLBACK');
      throw error;
    }
  }

  return function commitGroup(group: readonly WaitingCall[]): ReplyMessage[] {
    try {
      return commitTogether(group);
    } catch (thrown) {
      const error = toErrorMessage(thrown);
      const isDisk = error.code === 'storage_full' || error.code === 'storage_failed';
      if (group.length === 1 || isDisk) return group.map(({ call }): ReplyMessage => [call[0], null, error]);
      return group.flatMap((waiting) => commitGroup([waiting]));
    }
  };
}
