/** `postern models tune` as a person runs it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { after, before, suite, test } from 'node:test';
import { parseManifest } from '../../src/worker/manifest.ts';
import { makeModelFolder, type ModelFolder } from '../support/model-folder.ts';

const PROGRAM = new URL('../../bin/postern.mjs', import.meta.url).pathname;
const run = promisify(execFile);

suite('tuning a model', { timeout: 240_000 }, () => {
  let folder: ModelFolder;
  let manifest: string;
  before(async () => {
    folder = await makeModelFolder();
    await folder.write('colours', '1', { manifest: { concurrency: 5, threads: 0 } });
    manifest = join(folder.path, 'colours', '1', 'postern.yaml');
    await writeFile(manifest, `# measured by nobody yet\n${await readFile(manifest, 'utf8')}`);
  });
  after(() => folder.remove());

  const tune = (...args: string[]) =>
    run(
      process.execPath,
      [PROGRAM, 'models', 'tune', 'colours', '--max-rows', '2', '--max-ms', '60000', '--seconds', '0', ...args],
      {
        env: { ...process.env, POSTERN_MODELS_DIR: folder.path },
      },
    );

  test('it shows a table, a chart and what it proposes, and changes nothing', async () => {
    const before = await readFile(manifest, 'utf8');
    const { stdout } = await tune();
    assert.match(stdout, /^INSTANCES +THREADS +ROWS +ROWS\/S/m);
    assert.match(stdout, /← proposed/);
    assert.match(stdout, /█/);
    assert.match(stdout, /^batch: \{ max_rows: \d+, max_delay_ms: 0 \}$|as good as anything/m);
    assert.equal(await readFile(manifest, 'utf8'), before);
  });

  test('with --write the proposal is in the manifest, and everything else as it was', async () => {
    const { stdout } = await tune('--json', '--write');
    const { proposed } = JSON.parse(stdout) as { proposed: { rows: number; concurrency: number; threads: number } };
    const text = await readFile(manifest, 'utf8');
    assert.match(text, /^# measured by nobody yet\n/);
    const { batch, concurrency, threads, input } = parseManifest(text) as ReturnType<typeof parseManifest> & {
      batch: { max_rows: number };
      threads: number;
      input: { width: number };
    };
    assert.deepEqual(
      { rows: batch.max_rows, concurrency, threads },
      {
        rows: proposed.rows,
        concurrency: proposed.concurrency,
        threads: proposed.threads,
      },
    );
    assert.equal(input.width, 32);
  });
});
