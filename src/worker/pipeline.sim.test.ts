/**
 * Chance against the pipeline: bursts, cancels, deadlines, bad inputs, spoiled batches, crashes and loads that fail, in an
 * order that a seed decides. Whatever comes: every attempt ends exactly once, no batch is too large, nothing that had
 * ended is run, and when the faults stop everything that is left is answered.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PosternError } from '../errors.ts';
import { startControlledModel } from '../../test/support/controlled-model.ts';
import type { Run } from '../../test/support/controlled-model.ts';
import { createRandom } from '../../test/support/random.ts';
import { assignmentOf } from '../../test/support/recording-link.ts';
import type { LaneEntry } from './lane.ts';

const SEEDS = 60;
const STEPS = 250;
const MAX_ROWS = 3;

async function simulate(seed: number): Promise<{ ends: number; crashes: number; runs: number }> {
  const random = createRandom(seed);
  const pick = (count: number): number => random.int(0, count - 1);
  const model = await startControlledModel({
    maxRows: MAX_ROWS,
    maxDelayMs: pick(2) * 10,
    concurrency: 1 + pick(2),
    random: () => random.next(),
  });
  const entries = new Map<string, LaneEntry>();
  const open = new Set<Run>();
  let seen = 0;
  let crashes = 0;

  const turn = (): Promise<void> => new Promise(setImmediate);
  /** Takes in the batches that began since the last look. */
  function look(): void {
    for (const run of model.runs.entries.slice(seen)) {
      assert.ok(run.words.length <= MAX_ROWS && run.words.length > 0, `a batch of ${run.words.length}`);
      for (const word of run.words) {
        const entry = entries.get(word.replace(/^\D+/, ''))!;
        assert.ok(!entry.ended, `${word} had ended and was run`);
      }
      open.add(run);
    }
    seen = model.runs.entries.length;
  }
  function answer(run: Run): void {
    open.delete(run);
    // A batch fails as long as the spoiling row is in it, and every fifth time for another reason.
    if (run.words.some((word) => word.startsWith('spoil')) || pick(5) === 0)
      run.fail(new PosternError('model_failed', 'spoiled'));
    else run.succeed();
  }

  /** Lets so many slow photos through the decoder, the oldest first. */
  function decodeSome(count: number): void {
    for (const [word, hold] of [...model.blocked].slice(0, count)) {
      model.blocked.delete(word);
      hold.resolve();
    }
  }

  const steps: (() => void)[] = [
    () => {
      for (let burst = pick(6); burst >= 0; burst--) {
        const word = `${['good', 'good', 'good', 'bad', 'spoil'][pick(5)]}${entries.size}`;
        const now = model.clock.monotonic();
        const deadlineAt = pick(4) === 0 ? now + pick(40) : null;
        const assignment = assignmentOf(Buffer.from(word), {
          receivedAt: now,
          deadlineAt,
          job: `${seed}-${entries.size}`,
        });
        if (pick(3) === 0) model.blocked.set(word, Promise.withResolvers());
        entries.set(`${entries.size}`, model.served.accept(assignment));
      }
    },
    () => {
      const entry = [...entries.values()].at(-1 - pick(8));
      if (entry) model.served.cancel(entry);
    },
    () => decodeSome(1 + pick(4)),
    () => [...open].slice(0, 1 + pick(2)).forEach(answer),
    () => [...open].slice(0, 1).forEach(answer),
    () => model.clock.advance(pick(30)),
    () => {
      if (pick(4) > 0) return;
      crashes++;
      model.failLoads(pick(2) === 0 ? new PosternError('model_unavailable', 'no memory') : null);
      model.crash();
      model.clock.advance(pick(500));
    },
  ];
  for (let step = 0; step < STEPS; step++) {
    steps[pick(steps.length)]!();
    await turn();
    look();
  }

  // The faults stop: within some rounds everything must have ended. 200 rounds of 1 s are more than any back-off (45 s).
  model.failLoads(null);
  const settled = (): boolean => model.ends.entries.length === entries.size && model.served.report().state === 'ready';
  for (let round = 0; round < 200 && !settled(); round++) {
    decodeSome(Infinity);
    model.clock.advance(1_000);
    await turn();
    look();
    [...open].forEach(answer);
    await turn();
  }
  const jobs = model.ends.entries.map((entry) => entry.job);
  assert.equal(new Set(jobs).size, jobs.length, 'an attempt ended twice');
  assert.equal(jobs.length, entries.size, 'an attempt did not end');
  assert.deepEqual(model.faults, []);
  assert.equal(model.served.report().state, 'ready');
  await model.served.stop();
  assert.equal(model.clock.timerCount, 0, 'a timer was left');
  return { ends: jobs.length, crashes, runs: model.runs.entries.length };
}

test(`${SEEDS} seeds of chance: every attempt ends exactly once`, async () => {
  const total = { ends: 0, crashes: 0, runs: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const one = await simulate(seed).catch((cause: unknown) => {
      throw new Error(`seed ${seed}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    });
    total.ends += one.ends;
    total.crashes += one.crashes;
    total.runs += one.runs;
  }
  // The simulation is worth something only if these things happened.
  assert.ok(total.ends > 1_000 && total.crashes > 100 && total.runs > 1_000, JSON.stringify(total));
});
