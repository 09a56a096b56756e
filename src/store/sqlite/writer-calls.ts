/** The writer's calls, bound to one database: who may claim, then the steps. Everything here runs inside a transaction. */
import type { DatabaseSync } from 'node:sqlite';
import { sessionEnded } from '../../dispatch/endings.ts';
import type { SweepReply, WriterCalls } from './calls.ts';
import { createKnownModels } from './known-models.ts';
import { createLeases } from './leases.ts';
import { createLedger } from './ledger.ts';
import { createOutbox } from './outbox.ts';
import type { WriterOptions } from './options.ts';
import { createRole } from './role.ts';
import { createSweeps } from './sweeps.ts';
import { createWriter, type Step } from './writer.ts';

/** Each call with the moment at which it was made. */
export type BoundCalls = {
  [Name in keyof WriterCalls]: (
    argument: Parameters<WriterCalls[Name]>[0],
    step: Step,
  ) => ReturnType<WriterCalls[Name]>;
};

/** As in `memory.ts`: jobs that one call puts back in line. */
const MAX_PROMOTED = 1_000;
const NOTHING_SWEPT: SweepReply = { hasRole: false, reclaimed: [], expired: [], forgotten: 0 };

export function createWriterCalls(db: DatabaseSync, options: WriterOptions, openRole: typeof createRole = createRole) {
  const ledger = createLedger(db);
  const leases = createLeases(db, options.leaseMs);
  const role = openRole(options.path, (monotonicMs) => leases.renewAll(monotonicMs));
  const outbox = createOutbox(db, options);
  const writer = createWriter(db, { ledger, leases, outbox }, options);
  const sweeps = createSweeps(db, ledger, leases, writer, options);
  const knownModels = createKnownModels(db, options.modelTtlMs);
  const probe = db.prepare('UPDATE probe SET count = count + 1');
  const dropUnnamed = db.prepare('DELETE FROM unnamed_blob WHERE key = ?');

  const calls: BoundCalls = {
    submit: (jobs, step) => jobs.map((job) => writer.submit(job, step)),
    claim(requests, step) {
      if (!role.isHeld(step.monotonicMs)) return requests.map(() => ({ rows: [], leftRows: 0, soloJobs: 0 }));
      writer.promote(MAX_PROMOTED, step);
      return requests.map((request) => writer.claim(request, step));
    },
    heartbeat({ session, leaseMs }, { monotonicMs }) {
      if (role.isHeld(monotonicMs)) leases.extend(session, monotonicMs + leaseMs);
      else leases.writeBeat(session, monotonicMs);
      return sweeps.cancelsOf(session);
    },
    progress: (updates, _step) => updates.map(({ fence, progress }) => writer.progress(fence, progress)),
    settle: (ends, step) => ends.map(({ fence, outcome }) => writer.settle(fence, outcome, step)),
    cancel: (id, step) => writer.cancel(id, step),
    dropFailedInputs: (ids, _step) => ids.map(writer.dropFailedInput).filter((dropped) => dropped !== null),
    release({ session, loss }, step) {
      return sweeps.release(session, sessionEnded(loss), step);
    },
    reconcile: ({ session, held }, step) => sweeps.reconcile(session, held, step),
    sweep(limit, step) {
      if (!role.isHeld(step.monotonicMs)) return NOTHING_SWEPT;
      outbox.sweep(limit, step);
      return sweeps.sweep(limit, step);
    },
    claimDeliveries: (call, step) => outbox.claim(call, step),
    endDeliveries: (ends, step) => outbox.end(ends, step),
    retryDelivery: (id, step) => outbox.retry(id, step),
    probe() {
      probe.run();
      return null;
    },
    rememberModels(models, { nowMs }) {
      knownModels.remember(models, nowMs);
      return null;
    },
    yieldRole() {
      role.yield();
      return null;
    },
    dropUnnamed(keys) {
      for (const key of keys) dropUnnamed.run(key);
      return null;
    },
  };
  return { calls, ledger, leases, role };
}
