/**
 * Attacks as a table: one row is a name, what the attacker does, and the refusal that it must meet. Each runs on a
 * stage of its own, which says afterwards whether the attacker got further than it may.
 */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

export interface Attack<Stage> {
  readonly name: string;
  /** Resolves with the code of the refusal; `none` when there was none. */
  readonly attack: (stage: Stage) => Promise<string>;
  readonly expected: string;
}

export interface AttackStage {
  /** Throws when something of the attacker was heard behind the door. Called after each attack. */
  assertNothingHeard(): void;
  close(): Promise<void>;
}

export function attackTable<Stage extends AttackStage>(
  title: string,
  open: () => Promise<Stage>,
  attacks: readonly Attack<Stage>[],
): void {
  suite(title, { timeout: 120_000 }, () => {
    for (const { name, attack, expected } of attacks) {
      void test(name, async () => {
        // Each has a stage of its own: what one attack leaves behind must not help the next, or hinder it.
        const stage = await open();
        try {
          assert.equal(await attack(stage), expected);
          stage.assertNothingHeard();
        } finally {
          await stage.close();
        }
      });
    }
  });
}
