/** The example of a FastAPI server with a PyTorch model, unchanged, with the real libraries. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { test } from 'node:test';
import { PosternSystem, untilModel } from '../support/postern.ts';
import { needPython } from '../support/python.ts';

const EXAMPLE = new URL('../../examples/fastapi-pytorch', import.meta.url).pathname;

void test('a FastAPI server with a PyTorch model is online as it is', { timeout: 180_000 }, async (t) => {
  const python = needPython(t, 'fastapi', 'uvicorn', 'torch');
  if (python === null) return;
  const folder = mkdtempSync(join(tmpdir(), 'postern-fastapi-'));
  t.after(() => rmSync(folder, { recursive: true }));
  await cp(EXAMPLE, join(folder, 'fastapi-pytorch'), { recursive: true });
  const PATH = `${dirname(python)}${delimiter}${process.env.PATH ?? ''}`;
  const system = new PosternSystem({ modelsDir: folder, env: { PATH } });
  t.after(() => system.remove());
  const gateway = await system.gateway();
  const worker = system.worker(gateway, system.issue('gpu-1'));
  await untilModel(gateway.url, 'fastapi-pytorch', 120_000);

  const ask = (path: string, body: unknown): Promise<Response> =>
    fetch(`${gateway.url}/services/fastapi-pytorch${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  assert.deepEqual(await (await ask('/predict', { text: 'what a lovely day' })).json(), { positive: 0.8808 });
  assert.equal(
    await (await ask('/words', { text: 'lovely awful day' })).text(),
    'data: lovely 0.88\n\ndata: awful 0.12\n\ndata: day 0.50\n\n',
  );
  // The server's own answer to a bad body, and what it does not offer to the world.
  assert.equal((await ask('/predict', { wrong: 1 })).status, 422);
  assert.equal((await fetch(`${gateway.url}/services/fastapi-pytorch/docs`)).status, 404);
  await worker.stop();
});
