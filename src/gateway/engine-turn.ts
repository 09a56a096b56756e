/**
 * One turn of the event loop, one batch per kind to the store: a durable driver then pays for one fsync where a hundred
 * callers wait. Nothing waits longer for it: the flush runs as soon as the turn has read what was there to read.
 * Owner of: what was collected and not yet handed to the store, and the count of questions that are out.
 */
import { PosternError, toPosternError } from '../errors.ts';
import type { Dispatcher } from '../dispatch/dispatcher.ts';
import { isUnrecorded } from '../dispatch/id.ts';
import type { Fence, Job, Outcome, SessionId } from '../dispatch/job.ts';
import type { Ask } from '../dispatch/session.ts';
import type { FencedOutcome, Store, SubmitOutcome, SubmittedJob } from '../store/store.ts';
import { createTelling } from './telling.ts';
import type { GatewaySession } from './worker-ports.ts';

/** The end of an attempt. `ackTo`: the worker keeps it until it is acked there; null: nobody does. */
export interface End {
  readonly fence: Fence;
  readonly outcome: Outcome;
  readonly ackTo: GatewaySession | null;
}

export interface TurnOptions {
  readonly store: Store;
  readonly dispatcher: () => Dispatcher;
  /** For work that a session takes now. */
  readonly leaseOf: (session: SessionId) => number;
  readonly defer: (flush: () => void) => void;
  /** The store has it, and it may be handed out. */
  readonly accepted: (job: Job) => void;
  readonly ended: (outcome: FencedOutcome) => void;
  /** No question is out, and nothing is collected. */
  readonly quiet: () => void;
  readonly storeFailed: (step: string, error: unknown, unacked: ReadonlySet<GatewaySession>) => void;
}

interface Submission {
  readonly job: SubmittedJob;
  readonly resolve: (outcome: SubmitOutcome) => void;
  readonly reject: (error: PosternError) => void;
}

interface ProgressUpdate {
  readonly fence: Fence;
  readonly fraction: number | null;
  readonly message: string | null;
}

/** Submissions of one turn: each is a caller with a whole body, so a turn never has this many unless something floods. */
const MAX_SUBMISSIONS = 65_536;
/** As the `ack` message allows. */
const MAX_ACKS = 1_024;

export function createTurn(options: TurnOptions) {
  const { store } = options;
  const telling = createTelling(options);
  let submissions: Submission[] = [];
  let ends: End[] = [];
  let asks: Ask[] = [];
  let progress = new Map<string, ProgressUpdate>();
  let scheduled = false;
  let questionsOut = 0;
  let claimsOut = 0;

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    options.defer(flush);
  }

  function flush(): void {
    scheduled = false;
    if (ends.length > 0) settleEnds();
    if (submissions.length > 0) submitAll();
    if (progress.size > 0) reportProgress();
    pump();
  }

  function pump(): void {
    options.dispatcher().pump();
    if (asks.length > 0) claimAll();
    telling.pumped(claimsOut > 0);
    if (questionsOut === 0 && !scheduled) options.quiet();
  }

  function answered(): void {
    questionsOut -= 1;
    pump();
  }

  function settleEnds(): void {
    const batch = ends;
    ends = [];
    questionsOut += 1;
    store
      .settle(batch)
      .then((outcomes) => {
        ackAll(batch);
        for (const outcome of outcomes) options.ended(outcome);
      })
      .catch((error: unknown) => {
        const unacked = new Set(batch.flatMap(({ ackTo }) => (ackTo ? [ackTo] : [])));
        options.storeFailed('settle', error, unacked);
      })
      .finally(answered);
  }

  /** Late and double ones are acked too: the worker may forget them all the same. */
  function ackAll(batch: readonly End[]): void {
    const bySession = new Map<GatewaySession, Fence[]>();
    for (const { fence, ackTo } of batch) {
      if (ackTo === null) continue;
      let fences = bySession.get(ackTo);
      if (!fences) bySession.set(ackTo, (fences = []));
      fences.push(fence);
      if (fences.length === MAX_ACKS) {
        ackTo.ack(fences);
        bySession.delete(ackTo);
      }
    }
    for (const [session, fences] of bySession) session.ack(fences);
  }

  /**
   * What is not recorded is there at once, and what is recorded after a flush: as one question, the first could be claimed, run and
   * decided while the second is waited for, before anybody here knew that it was accepted.
   */
  function submitAll(): void {
    const batch = submissions;
    submissions = [];
    const unrecorded = batch.filter(({ job }) => isUnrecorded(job.id));
    const recorded = unrecorded.length === 0 ? batch : batch.filter(({ job }) => !isUnrecorded(job.id));
    for (const part of [unrecorded, recorded]) if (part.length > 0) submitPart(part);
  }

  function submitPart(batch: readonly Submission[]): void {
    questionsOut += 1;
    store
      .submit(batch.map(({ job }) => job))
      .then((outcomes) => {
        outcomes.forEach((outcome, index) => {
          if (outcome.type === 'accepted') {
            options.accepted(outcome.job);
            options.dispatcher().arrived(outcome.job.model, outcome.job.rows, outcome.job.version);
            telling.accepted(outcome.job);
          }
          batch[index]?.resolve(outcome);
        });
      })
      .catch((error: unknown) => {
        options.storeFailed('submit', error, new Set());
        for (const { reject } of batch) reject(toPosternError(error));
      })
      .finally(answered);
  }

  function claimAll(): void {
    const batch = asks;
    asks = [];
    questionsOut += 1;
    claimsOut += 1;
    const dispatcher = options.dispatcher();
    store
      .claim(
        batch.map(({ offer, maxRows, capacityRows, solo, namedOnly }) => ({
          session: offer.session.id,
          worker: offer.session.worker,
          model: offer.model,
          version: offer.version,
          maxRows,
          capacityRows,
          leaseMs: options.leaseOf(offer.session.id),
          solo,
          namedOnly,
        })),
      )
      .then(
        (claims) => {
          claims.forEach(({ jobs, leftRows, soloJobs }, index) => {
            dispatcher.answered(batch[index]!, jobs, leftRows, soloJobs);
          });
        },
        (error: unknown) => {
          options.storeFailed('claim', error, new Set());
          for (const ask of batch) {
            dispatcher.claimFailed(ask);
            telling.claimFailed(ask.offer.model);
          }
        },
      )
      .catch((error: unknown) => options.storeFailed('claim', error, new Set()))
      .finally(() => {
        claimsOut -= 1;
        answered();
      });
  }

  function reportProgress(): void {
    const batch = [...progress.values()];
    progress = new Map();
    store.progress(batch).catch((error: unknown) => options.storeFailed('progress', error, new Set()));
  }

  return {
    schedule,
    /** Is there a claim whose answer is not here yet? */
    get claiming(): boolean {
      return claimsOut > 0;
    },
    get busy(): boolean {
      return questionsOut > 0 || scheduled;
    },
    claim(ask: Ask): void {
      asks.push(ask);
    },
    /** Hands the ends over before anything that is asked of the store next. */
    settleNow(): void {
      if (ends.length > 0) settleEnds();
    },
    end(end: End): void {
      ends.push(end);
      schedule();
    },
    /** The latest one of a turn counts: a flood of progress costs the store one write per job and turn. */
    progress(update: ProgressUpdate): void {
      progress.set(update.fence.job, update);
      schedule();
    },
    submit(job: SubmittedJob): Promise<SubmitOutcome> {
      if (submissions.length >= MAX_SUBMISSIONS) {
        return Promise.reject(new PosternError('overloaded', 'too many requests arrived at once', { retryAfterS: 1 }));
      }
      return new Promise((resolve, reject) => {
        submissions.push({ job, resolve, reject });
        schedule();
      });
    },
  };
}

export type Turn = ReturnType<typeof createTurn>;
