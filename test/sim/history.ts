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
  /** The cancel was answered: it must not be forgotten. */
  cancelAnswered: boolean;
  /** What the first read of the decision showed. */
  decision: string | null;
  /** The gateways that said so. */
  readonly decidedBy: Set<string>;
  lastAttempt: number;
}

/** What had been read about a job at the moment of a question. */
export interface Known {
  readonly isDecided: boolean;
  readonly attempt: number;
}

export interface History {
  accepted(job: Job, nature: Nature): void;
  cancelAsked(id: JobId): void;
  cancelAnswered(id: JobId): void;
  /** A worker began an attempt. */
  began(job: Job, session: string): void;
  /** A gateway said that it is decided: each one once, and all of them the same. */
  decidedEvent(job: Job, gateway: string): void;
  /** Somebody asks about a job now: what the answer may not go back behind. */
  asks(id: JobId): Known;
  /** Somebody was answered, however. Without `known` the question may be older than anything that was read. */
  read(job: Job, latestWall: number, known?: Known): void;
  violation(what: string): void;
  /** Every accepted job, by what the store says at the end. */
  check(
    finalJobs: ReadonlyMap<JobId, Job | null>,
    end: { readonly latestWall: number; readonly isEverythingDecided: boolean },
  ): void;
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
  const began = new Map<string, string>();
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

  function read(job: Job, latestWall: number, known?: Known): void {
    const seen = jobs.get(job.id);
    if (!seen) return;
    expect(job.attempt >= (known?.attempt ?? 0), () => `${job.id} went back from attempt ${known?.attempt}`);
    seen.lastAttempt = Math.max(seen.lastAttempt, job.attempt);
    if (job.completedAt === null) {
      expect(known?.isDecided !== true, () => `${job.id} was decided, and is ${job.status} again`);
      return;
    }
    const decision = decisionOf(job);
    if (seen.decision === null) {
      seen.decision = decision;
      checkDecision(job, seen, latestWall);
    }
    expect(seen.decision === decision, () => `${job.id} changed after it was read: ${seen.decision} → ${decision}`);
  }

  return {
    accepted(job, nature) {
      if (jobs.has(job.id)) return;
      const { deadlineAt } = job;
      jobs.set(job.id, {
        nature,
        deadlineAt,
        cancelAsked: false,
        cancelAnswered: false,
        decision: null,
        decidedBy: new Set(),
        lastAttempt: 0,
      });
    },
    cancelAsked(id) {
      const seen = jobs.get(id);
      if (seen) seen.cancelAsked = true;
    },
    cancelAnswered(id) {
      const seen = jobs.get(id);
      if (seen) seen.cancelAnswered = true;
    },
    began(job, session) {
      const attempt = `${job.id} ${job.attempt}`;
      const other = began.get(attempt);
      expect(other === undefined || other === session, () => `${attempt} was begun by both ${other} and ${session}`);
      began.set(attempt, session);
    },
    decidedEvent(job, gateway) {
      const seen = jobs.get(job.id);
      if (!seen) return;
      expect(!seen.decidedBy.has(gateway), () => `${job.id} was decided twice by ${gateway}`);
      seen.decidedBy.add(gateway);
    },
    asks(id) {
      const seen = jobs.get(id);
      return { isDecided: seen !== undefined && seen.decision !== null, attempt: seen?.lastAttempt ?? 0 };
    },
    read,
    violation,
    check(finalJobs, { latestWall, isEverythingDecided }) {
      for (const [id, seen] of jobs) {
        const job = finalJobs.get(id);
        if (!job) {
          violation(`${id} was accepted, and is lost`);
          continue;
        }
        read(job, latestWall, { isDecided: seen.decision !== null, attempt: seen.lastAttempt });
        const isKept = job.cancelRequested || job.completedAt !== null;
        expect(!seen.cancelAnswered || isKept, () => `${id} was canceled, and that is forgotten`);
        counts[job.status] = (counts[job.status] ?? 0) + 1;
        if (isEverythingDecided)
          expect(job.completedAt !== null, () => `${id} (${seen.nature}) is still ${job.status}`);
      }
    },
    get ids() {
      return jobs.keys();
    },
    violations,
    counts,
  };
}
