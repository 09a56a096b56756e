/** Switches of releases under load: no request fails, no job is lost, every stream has its end. The long form is `npm run torture:switch`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needsProgram } from '../support/needs.ts';
import { nginxFront, startNginx } from './nginx.ts';
import { runSwitches } from './switches.ts';

const LIGHT = { posting: 12, thinking: 6, thinkMs: 4_000, polling: 2, streaming: 2, uploading: 1, inferring: 2 };

void test(
  'callers, streams, uploads and workers go over to another release without noticing',
  { timeout: 280_000 },
  async () => {
    const result = await runSwitches({ switches: 3, rollbackEvery: 3, callers: LIGHT });
    assert.deepEqual(result.failures, []);
    assert.deepEqual(result.problems, []);
    assert.ok(
      result.posted > 50 && result.polled > 0 && result.streamed > 0 && result.uploaded > 0 && result.inferred > 0,
    );
  },
);

const noNginx = needsProgram('nginx', 'openssl');

void test(
  'the same behind nginx with TLS, which is never told anything',
  { skip: noNginx, timeout: 280_000 },
  async () => {
    const front = (site: Parameters<typeof nginxFront>[0]) => startNginx(site, { fixed: true });
    const result = await runSwitches({ switches: 2, callers: LIGHT, front });
    assert.deepEqual(result.failures, []);
    assert.deepEqual(result.problems, []);
  },
);

/**
 * nginx before 1.27.4 closes idle connections of callers when it reloads, also one on which a request is on its way: that request is reset
 * or ended without an answer, and nothing else may fail.
 */
const CLOSED_BY_RELOAD = /ECONNRESET|EPIPE|socket hang up/;

void test(
  'nginx is led from one port to the other, and the new one is verified through it',
  { skip: noNginx, timeout: 280_000 },
  async () => {
    const result = await runSwitches({ switches: 3, callers: { ...LIGHT, thinking: 0 }, front: nginxFront });
    assert.deepEqual(
      result.failures.filter((failure) => !CLOSED_BY_RELOAD.test(failure)),
      [],
    );
    assert.deepEqual(result.problems, []);
  },
);
