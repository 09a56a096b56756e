import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { stringify } from 'yaml';
import { colourManifest } from '../../test/support/model-folder.ts';
import { PosternError } from '../errors.ts';
import { manifestKeys, parseManifest } from './manifest.ts';

function problems(text: string): string {
  try {
    parseManifest(text);
  } catch (error) {
    assert.ok(error instanceof PosternError);
    assert.equal(error.code, 'model_invalid');
    return error.message;
  }
  return '';
}

const changed = (parts: Record<string, unknown>): string => stringify({ ...colourManifest('colours', '1'), ...parts });

describe('postern.yaml', () => {
  test('with the required keys alone gets its defaults, frozen', () => {
    const { name, input, output } = colourManifest('colours', '1');
    const required = {
      postern: 1,
      name,
      version: '1',
      runner: 'onnx',
      kind: 'image-classification',
      file: 'a.onnx',
      input,
      output,
    };
    const manifest = parseManifest(stringify(required));
    assert.ok(manifest.kind === 'image-classification');
    assert.deepEqual(manifest.batch, { max_rows: 1, max_delay_ms: 0 });
    assert.deepEqual([manifest.concurrency, manifest.warm_up.runs, manifest.threads, manifest.memory_mb], [1, 1, 0, 0]);
    assert.deepEqual([manifest.input.fit, manifest.input.kernel, manifest.input.scale], ['cover', 'cubic', 1]);
    assert.deepEqual(manifest.providers, ['cpu']);
    assert.throws(() => Object.assign(manifest.batch, { max_rows: 2 }), TypeError);
  });

  test('of the bundled models is taken', async () => {
    for (const name of ['echo', 'plants']) {
      const text = await readFile(new URL(`../../models/${name}/1/postern.yaml`, import.meta.url), 'utf8');
      assert.equal(parseManifest(text).name, name);
    }
  });

  test('tells every problem at once, by key', () => {
    const text = problems(
      changed({
        version: 1,
        colour: 'red',
        batch: { max_rows: 0, max_row: 4 },
        input: { name: 'image', height: 24, std: [1, 0, 1] },
      }),
    );
    for (const key of [
      'version:',
      'colour: unknown key',
      'batch.max_rows:',
      'batch.max_row: unknown key',
      'input.width:',
      'input.std.1:',
    ]) {
      assert.ok(text.includes(key), `${key} is missing in: ${text}`);
    }
  });

  test('with an unknown kind says which there are', () => {
    assert.match(problems(changed({ kind: 'video' })), /kind: expected one of echo, image-classification/);
    assert.match(problems(changed({ kind: '__proto__' })), /kind: expected one of/);
  });

  for (const file of ['../other/model.onnx', '/etc/passwd', 'a/../../b', '.hidden', 'a//b', 'a\\b', '']) {
    test(`does not take the path ${JSON.stringify(file)} out of its folder`, () => {
      assert.match(problems(changed({ file })), /file:/);
      const { output } = colourManifest('colours', '1');
      assert.match(problems(changed({ output: { ...(output as object), labels: file } })), /output\.labels:/);
    });
  }

  test('that is no YAML, no map, or repeats a key is refused', () => {
    assert.match(problems('a: [1'), /not valid YAML/);
    assert.match(problems('- postern'), /expected a map/);
    assert.match(problems(''), /expected a map/);
    assert.match(problems('postern: 1\npostern: 1'), /not valid YAML/);
  });

  test('with aliases that multiply is refused before it grows', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]'];
    for (let level = 1; level < 9; level++) {
      lines.push(`a${level}: &a${level} [${Array.from({ length: 9 }, () => `*a${level - 1}`).join(', ')}]`);
    }
    assert.notEqual(problems(lines.join('\n')), '');
  });
});

test('docs/models.md lists every key of postern.yaml and no other', async () => {
  const text = await readFile(new URL('../../docs/models.md', import.meta.url), 'utf8');
  const listed = [...text.matchAll(/^\| `([a-z_.]+)`/gm)].map((match) => match[1]);
  // A key that two kinds have is listed with each.
  assert.deepEqual([...new Set(listed)].toSorted(), manifestKeys());
});
