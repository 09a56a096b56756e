import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Loss, Outcome } from './job.ts';
import { isSuspect, MAX_FENCES, MAX_PAST_ATTEMPTS, verdict, type AttemptRecord } from './verdict.ts';

const RECORD: AttemptRecord = {
  job: 'job',
  attempt: 1,
  spentAttempts: 0,
  suspicion: 0,
  alone: true,
  cancelRequested: false,
  worker: 'gpu-1',
  past: [],
  nowMs: 1_000,
};

const lost = (loss: Loss): Outcome => ({ type: 'interrupted', error: { code: 'worker_lost', message: 'gone' }, loss });
const FAILED: Outcome = {
  type: 'failed',
  error: { code: 'model_unavailable', message: 'x'.repeat(999) },
  retryable: true,
};
const CRASHED: Outcome = { type: 'failed', error: { code: 'runner_crashed', message: 'died' }, retryable: true };

function requeued(record: Partial<AttemptRecord>, outcome: Outcome) {
  const ruling = verdict({ ...RECORD, ...record }, outcome, 3);
  assert.equal(ruling.type, 'requeue');
  return {
    spent: ruling.spentAttempts,
    suspect: isSuspect(ruling.suspicion),
    delayMs: ruling.delayMs,
    past: ruling.past,
  };
}

test('who was lost in company is charged nothing; a crash suspects at once, silence the second time', () => {
  const company = { alone: false };
  const crash = requeued(company, lost('crashed'));
  assert.deepEqual([crash.spent, crash.suspect, crash.delayMs], [0, true, 0]);
  const silence = requeued(company, lost('silent'));
  assert.deepEqual([silence.spent, silence.suspect, silence.delayMs], [0, false, 0]);
  const again = requeued({ ...company, suspicion: 1 }, lost('silent'));
  assert.deepEqual([again.spent, again.suspect], [0, true]);
  const free = requeued(company, lost('free'));
  assert.deepEqual([free.spent, free.suspect], [0, false]);
});

test('who was lost alone, or as a suspect, is charged; a suspect never stops being one', () => {
  for (const loss of ['silent', 'crashed'] as const) assert.equal(requeued({}, lost(loss)).spent, 1);
  const suspect = requeued({ suspicion: 2, alone: false, attempt: 2 }, lost('silent'));
  assert.deepEqual([suspect.spent, suspect.suspect], [1, true]);
  assert.equal(requeued({ suspicion: 2 }, lost('free')).spent, 0);
  assert.equal(requeued({ suspicion: 2 }, lost('free')).suspect, true);
});

test('a runner that crashed condemns nobody until it ran one alone', () => {
  const first = requeued({}, CRASHED);
  assert.deepEqual([first.spent, first.suspect], [0, true]);
  assert.equal(requeued({ suspicion: 2 }, CRASHED).spent, 1);
});

test('a failure that may pass waits; the loss of a worker only from the second time on', () => {
  assert.ok(requeued({ attempt: 3 }, FAILED).delayMs <= 500);
  const drawn = (spentAttempts: number, outcome: Outcome): number[] =>
    Array.from({ length: 50 }, (_, n) => requeued({ job: `job-${n}`, spentAttempts }, outcome).delayMs);
  assert.ok(drawn(0, FAILED).some((ms) => ms > 300));
  assert.ok(drawn(1, FAILED).some((ms) => ms > 500) && drawn(1, FAILED).every((ms) => ms <= 1_000));
  assert.deepEqual(new Set(drawn(0, lost('silent'))), new Set([0]));
  assert.ok(drawn(1, lost('silent')).some((ms) => ms > 0));
});

test('the past is kept: the last ones, with messages cut', () => {
  const { past } = requeued({ attempt: 7 }, FAILED);
  assert.deepEqual(past, [
    { attempt: 7, worker: 'gpu-1', code: 'model_unavailable', message: 'x'.repeat(200), endedAt: 1_000 },
  ]);
  const many = Array.from({ length: MAX_PAST_ATTEMPTS }, (_, n) => ({ ...past[0]!, attempt: n }));
  const full = requeued({ attempt: 30, past: many }, lost('free')).past;
  assert.deepEqual([full.length, full[0]?.attempt, full.at(-1)?.attempt], [MAX_PAST_ATTEMPTS, 1, 30]);
});

test('the end: after so many that count, or so many in all; the last error is told when the model said it', () => {
  const exhausted = verdict({ ...RECORD, spentAttempts: 2, attempt: 4 }, lost('crashed'), 3);
  assert.equal(exhausted.type === 'fail' && exhausted.error.code, 'attempts_exhausted');
  const said = verdict({ ...RECORD, spentAttempts: 2 }, FAILED, 3);
  assert.equal(said.type === 'fail' && said.error.code, 'model_unavailable');
  const spinning = verdict({ ...RECORD, attempt: MAX_FENCES }, lost('free'), 3);
  assert.equal(spinning.type, 'fail');
});
