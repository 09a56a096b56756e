/** The unmodified `tritonclient` of PyPI against a real gateway and a real worker. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { makeModelFolder } from '../support/model-folder.ts';
import { PosternSystem, untilModel } from '../support/postern.ts';
import { needPython } from '../support/python.ts';
import { makeTensorModels, TENSOR_MODELS } from '../support/tensor-models.ts';

const SCRIPT = new URL('../python/triton_client.py', import.meta.url).pathname;

void test('tritonclient: metadata, every datatype both ways, concurrency, photos, and clear refusals', async (t) => {
  const python = needPython(t, 'tritonclient', 'numpy', 'geventhttpclient', 'aiohttp');
  if (python === null) return;
  const models = await makeTensorModels();
  t.after(() => models.remove());
  const photos = await makeModelFolder();
  t.after(() => photos.remove());
  await photos.write('colours', '1');
  await cp(photos.path, models.path, { recursive: true });
  const red = join(photos.path, 'red.png');
  await sharp({ create: { width: 40, height: 30, channels: 3, background: '#ff0000' } }).toFile(red);

  const system = new PosternSystem({ modelsDir: models.path });
  t.after(() => system.remove());
  const gateway = await system.gateway();
  system.worker(gateway, system.issue('gpu-1'));
  for (const name of [...TENSOR_MODELS.map((model) => model.name), 'colours']) await untilModel(gateway.url, name);

  const { stdout } = await promisify(execFile)(python, [SCRIPT, `127.0.0.1:${gateway.httpPort}`, red]);
  assert.deepEqual(stdout.trim().split('\n'), [
    'health_and_metadata',
    'every_datatype',
    'requested_outputs',
    'large_and_packed',
    'photo',
    'concurrent',
    'wrong',
    'from_coroutines',
  ]);
  // Nothing of it was recorded.
  const listed = (await (await fetch(`${gateway.url}/v1/predictions`)).json()) as { results: unknown[] };
  assert.deepEqual(listed.results, []);
});
