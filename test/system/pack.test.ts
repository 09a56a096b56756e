/** `postern releases pack`, as the machines of docs/aws.md use it: fetched layer by layer, checked, unpacked, started. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = new URL('../..', import.meta.url).pathname;

void test('a packed release is what its list says, the same each time, and runs where nothing else is installed', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-pack-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const pack = (out: string): { id: string; layers: { archive: string }[] } =>
    JSON.parse(
      execFileSync(process.execPath, [join(ROOT, 'bin/postern.mjs'), 'releases', 'pack', '--out', out, '--json'], {
        encoding: 'utf8',
      }),
    ) as { id: string; layers: { archive: string }[] };
  const first = pack(join(folder, 'one'));
  const second = pack(join(folder, 'two'));
  assert.equal(first.id, second.id);
  assert.deepEqual(readdirSync(join(folder, 'one/layers')).sort(), readdirSync(join(folder, 'two/layers')).sort());

  const unpacked = join(folder, 'unpacked');
  mkdirSync(unpacked);
  for (const { archive } of first.layers) {
    const file = join(folder, 'one/layers', archive);
    assert.equal(createHash('sha256').update(readFileSync(file)).digest('hex'), archive);
    execFileSync('tar', ['--extract', '--gzip', '--file', file, '--directory', unpacked]);
  }
  const node = join(unpacked, 'runtime/bin/node');
  const run = (...args: string[]): string =>
    execFileSync(node, args, { cwd: unpacked, encoding: 'utf8', env: { PATH: '/usr/bin:/bin' } });
  assert.match(run('bin/postern.mjs', '--version'), /^\d+\.\d+\.\d+/);
  // The field guide of a gateway decodes photos; models run elsewhere.
  assert.match(run('--eval', "import('sharp').then((sharp) => console.log(typeof sharp.default))"), /function/);
  assert.throws(() => run('--eval', "import('onnxruntime-node').catch(() => process.exit(1))"));
});
