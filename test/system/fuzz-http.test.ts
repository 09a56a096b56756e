/** A bounded run of the HTTP fuzzer, always the same one; `npm run fuzz:http` goes on for longer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzHttp, makeKey, openFuzzTarget } from '../fuzz/http.ts';
import { until } from '../support/postern.ts';
import { needPython } from '../support/python.ts';

void test('whatever is made up from the OpenAPI document is answered as it says, with a key and without', async (t) => {
  const python = needPython(t, 'schemathesis');
  if (python === null) return;
  const target = await openFuzzTarget();
  t.after(() => target.system.remove());
  const run = { python, seed: 1, timeoutMs: 300_000 };
  const key = makeKey(target);
  const keyless = `${target.gateway.url}/v1/models`;
  await until('the gateway to know the key', 10_000, async () => ((await fetch(keyless)).status === 401 ? true : null));
  assert.equal(await fuzzHttp(target, { ...run, key: null, examples: 1, phases: 'fuzzing' }), null);
  assert.equal(await fuzzHttp(target, { ...run, key, examples: 3, phases: 'examples,coverage,fuzzing' }), null);
  assert.equal((await fetch(`${target.gateway.url}/livez`)).status, 200);
  assert.doesNotMatch(target.gateway.log(), /"level":"(error|fatal)"/);
});
