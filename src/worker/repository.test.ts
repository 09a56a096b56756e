import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { makeModelFolder } from '../../test/support/model-folder.ts';
import type { ModelFolder } from '../../test/support/model-folder.ts';
import { PosternError } from '../errors.ts';
import { MAX_MANIFEST_BYTES } from './manifest.ts';
import { compareVersions } from '../protocol/version-order.ts';
import { readRepository } from './repository.ts';

describe('the model repository', () => {
  let folder: ModelFolder;
  beforeEach(async () => {
    folder = await makeModelFolder();
  });
  afterEach(() => folder.remove());
  const names = async () =>
    (await readRepository(folder.path)).map((entry) => `${entry.type} ${entry.name} ${entry.version}`);

  test('lists the versions of a model from the highest down, by number', async () => {
    for (const version of ['9', '10', '2', '1.9', '1.10']) await folder.write('colours', version);
    assert.deepEqual(
      await names(),
      ['10', '9', '2', '1.10', '1.9'].map((version) => `model colours ${version}`),
    );
  });

  test('passes over what is no model: training code, hidden folders, files, empty ones', async () => {
    await folder.write('colours', '1');
    for (const path of ['colours/train', 'colours/.cache', 'empty', '.git/1', 'Big/1', 'colours/2']) {
      await mkdir(join(folder.path, path), { recursive: true });
    }
    await writeFile(join(folder.path, 'README.md'), 'models');
    await writeFile(join(folder.path, 'Big/1/postern.yaml'), 'postern: 1');
    assert.deepEqual(await names(), ['model colours 1']);
  });

  test('shows a broken model as broken, beside the others', async () => {
    await folder.write('colours', '1');
    await folder.write('misspelt', '1', { manifest: { bach: {} } });
    await folder.write('renamed', '1', { manifest: { name: 'other' } });
    await folder.write('renumbered', '2', { manifest: { version: '1' } });
    await folder.write('swollen', '1', { manifest: { description: 'x'.repeat(MAX_MANIFEST_BYTES) } });
    await mkdir(join(folder.path, 'crooked/1/postern.yaml'), { recursive: true });
    const entries = await readRepository(folder.path);
    const reasons = entries.map((entry) =>
      entry.type === 'broken' ? `${entry.name}: ${entry.error.message}` : entry.name,
    );
    assert.equal(reasons.length, 6);
    assert.equal(reasons.filter((reason) => reason === 'colours').length, 1);
    for (const part of [
      /misspelt: .*bach: unknown key/,
      /renamed: .*make them equal/,
      /renumbered: .*make them equal/,
      /swollen: .*at most 65536/,
      /crooked:/,
    ]) {
      assert.ok(
        reasons.some((reason) => part.test(reason)),
        `${part.source} is not in ${reasons.join('\n')}`,
      );
    }
  });

  test('that is missing is a mistake of the configuration, with what to do', async () => {
    await assert.rejects(readRepository(join(folder.path, 'nowhere')), (error: unknown) => {
      assert.ok(error instanceof PosternError);
      assert.equal(error.code, 'config_invalid');
      return error.message.includes('create it or set another folder');
    });
  });
});

test('versions are ordered by their numbers', () => {
  assert.deepEqual(['10', '9', '1.10', '1.9', 'v2', 'v10'].sort(compareVersions), [
    '1.9',
    '1.10',
    '9',
    '10',
    'v2',
    'v10',
  ]);
});
