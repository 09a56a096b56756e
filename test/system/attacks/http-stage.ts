/** The callers' port as a stage for attacks: the real HTTP service with keys, over an engine that notes what reaches it. */
import assert from 'node:assert/strict';
import { systemClock } from '../../../src/clock.ts';
import type { KeyWish } from '../../../src/identity/keys/key.ts';
import { createKey } from '../../../src/identity/keys/records.ts';
import { exchange, startHttp } from '../../support/http-service.ts';
import type { RunningHttp } from '../../support/http-service.ts';
import type { AttackStage } from './attack.ts';

export interface HttpStage extends AttackStage {
  readonly running: RunningHttp;
  /** The token of a new key. */
  makeKey(wish?: Partial<KeyWish>): string;
  /** Sends it, and gives the code of the refusal; `none` when there was none. */
  ask(path: string, init?: RequestInit): Promise<string>;
  /** Sends these bytes, and gives the code of the only answer. */
  say(bytes: string | Uint8Array): Promise<string>;
}

function codeOf(body: string): string {
  return /"code":"(\w+)"/.exec(body)?.[1] ?? 'none';
}

export async function openHttpStage(): Promise<HttpStage> {
  const ends: (() => unknown)[] = [];
  const running = await startHttp({ after: (end: () => unknown) => void ends.push(end) } as never);
  return {
    running,
    makeKey(wish = {}) {
      return createKey(running.records, { name: 'test', ...wish }, { actor: 'test', at: systemClock.now() }).token;
    },
    async ask(path, init = {}) {
      const response = await fetch(running.base + path, { redirect: 'manual', ...init });
      const body = await response.text();
      assert.doesNotMatch(body, /BEGIN|SQLite format|root:/, 'nothing of this machine is shown');
      return response.ok ? 'none' : codeOf(body);
    },
    async say(bytes) {
      const answers = await exchange(running.port, bytes);
      assert.equal(answers.match(/^HTTP\/1\.1 \d/gm)?.length, 1, answers);
      return codeOf(answers);
    },
    assertNothingHeard() {
      assert.deepEqual(running.fake.submitted, [], 'no job was made');
      assert.deepEqual(running.errors, [], 'and nothing went wrong inside');
    },
    async close() {
      // Newest first: services before the records that they read.
      for (const end of ends.reverse()) await end();
    },
  };
}
