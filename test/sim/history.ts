/**
 * What everybody saw, and whether it can be true. A violation is recorded where it is noticed; `check` looks at the whole
 * history at the end.
 */
import type { Job, JobId } from '../../src/dispatch/job.ts';
import type { Nature } from './worker.ts';

interface Seen {
  nature: Nature;
  deadlineAt: number | null;
  cancelAsked: boolean;
  /** What the first read of the decision showed. */
  decision: string | null;
  decidedEvents: number;
  lastAttempt: number;
}

export interface History {
  accepted(job: Job, nature: Nature): void;
  cancelAsked(id: JobId): void;
  /** A worker began an attempt. */
  began(job: Job): void;
  /** The engine said that it is decided. */
  decidedEvent(job: Job): void;
  /** Somebody read the job, however. */
  read(job: Job, latestWall: number): void;
  violation(what: string): void;
  /** Every accepted job, by what the store says at the end. */
  check(finalJobs: ReadonlyMap<JobId, Job | null>, everythingDecided: boolean): void;
  readonly ids: Iterable<JobId>;
  readonly violations: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
}

const decisionOf = (job: Job): string =>
  JSON.stringify([
    job.status,
    job.attempt,
    job.error,
    job.completedAt,
    job.output && Buffer.from(job.output.bytes).toString(),
  ]);

export function createHistory(maxAttempts: number): History {
  const jobs = new Map<JobId, Seen>();
  /** Attempts that a worker really began; also of jobs whose acceptance never reached its caller. */
  const began = new Set<string>();
  const violations: string[] = [];
  const counts: Record<string, number> = {};

  function violation(what: string): void {
    if (violations.length < 20) violations.push(what);
  }

  function expect(holds: boolean, what: () => string): void {
    if (!holds) violation(what());
  }

  function checkDecision(job: Job, seen: Seen, latestWall: number): void {
    const { id } = job;
    switch (job.status) {
      case 'succeeded': {
        const [of, attempt, session] = Buffer.from(job.output?.bytes ?? [])
          .toString()
          .split('|');
        expect(of === id, () => `${id} has the output of ${of}`);
        expect(attempt === String(job.attempt), () => `${id}: attempt ${attempt} committed, ${job.attempt} owned it`);
        expect(session === job.session, () => `${id}: ${session} committed, ${job.session} owned it`);
        expect(began.has(`${id} ${job.attempt}`), () => `${id} succeeded in an attempt that nobody began`);
        expect(seen.nature !== 'bad' && seen.nature !== 'poison', () => `${id} is ${seen.nature} and succeeded`);
        return;
      }
      case 'canceled':
        expect(seen.cancelAsked, () => `${id} was canceled, and nobody asked for it`);
        return;
      case 'aborted':
        expect(
          seen.deadlineAt !== null && seen.deadlineAt <= latestWall,
          () => `${id} was aborted before its deadline`,
        );
        return;
      case 'failed':
        if (job.error?.code === 'deadline_exceeded') {
          expect(seen.deadlineAt !== null && seen.deadlineAt <= latestWall, () => `${id} ended before its deadline`);
        } else if (job.error?.code === 'attempts_exhausted') {
          expect(job.attempt >= maxAttempts, () => `${id} gave up after ${job.attempt} attempts`);
        } else {
          expect(seen.nature === 'bad' || seen.nature === 'flaky', () => `${id} is ${seen.nature} and failed`);
        }
        return;
      default:
        violation(`${id} is decided and ${job.status}`);
    }
  }

  return {
    accepted(job, nature) {
      if (jobs.has(job.id)) return;
      const { deadlineAt } = job;
      jobs.set(job.id, {
        nature,
        deadlineAt,
        cancelAsked: false,
        decision: null,
        decidedEvents: 0,
        lastAttempt: 0,
      });
    },
    cancelAsked(id) {
      const seen = jobs.get(id);
      if (seen) seen.cancelAsked = true;
    },
    began(job) {
      began.add(`${job.id} ${job.attempt}`);
    },
    decidedEvent(job) {
      const seen = jobs.get(job.id);
      if (!seen) return;
      seen.decidedEvents += 1;
      expect(seen.decidedEvents === 1, () => `${job.id} was decided ${seen.decidedEvents} times`);
    },
    read(job, latestWall) {
      const seen = jobs.get(job.id);
      if (!seen) return;
      expect(job.attempt >= seen.lastAttempt, () => `${job.id} went back from attempt ${seen.lastAttempt}`);
      seen.lastAttempt = job.attempt;
      const isDecided = job.completedAt !== null;
      if (!isDecided) {
        expect(seen.decision === null, () => `${job.id} was decided, and is ${job.status} again`);
        return;
      }
      const decision = decisionOf(job);
      if (seen.decision === null) {
        seen.decision = decision;
        checkDecision(job, seen, latestWall);
      }
      expect(seen.decision === decision, () => `${job.id} changed after it was read: ${seen.decision} → ${decision}`);
    },
    violation,
    check(finalJobs, everythingDecided) {
      for (const [id, seen] of jobs) {
        const job = finalJobs.get(id);
        if (!job) {
          violation(`${id} was accepted, and is lost`);
          continue;
        }
        counts[job.status] = (counts[job.status] ?? 0) + 1;
        if (everythingDecided) expect(job.completedAt !== null, () => `${id} (${seen.nature}) is still ${job.status}`);
      }
    },
    get ids() {
      return jobs.keys();
    },
    violations,
    counts,
  };
}
