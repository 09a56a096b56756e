import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseGatewayConfig } from '../gateway/config.ts';
import { readLimits } from './limits-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-limits-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function fileOf(text: string): string {
  const path = join(folder, 'limits.yaml');
  writeFileSync(path, text);
  return path;
}

function problemsOf(text: string): string {
  try {
    parseGatewayConfig({ dataDir: '/x', limits: readLimits(fileOf(text)) });
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'config_invalid');
    return (error as Error).message;
  }
  throw new Error('it was accepted');
}

void test('what may run at once is read as it is documented', () => {
  const limits = readLimits(
    fileOf('worker: { max_rows: 16 }\nmodels:\n  plants:\n    concurrency: { reserved: 4, max: 32 }\n'),
  );
  assert.deepEqual(limits, { workerMaxRows: 16, models: { plants: { reservedRows: 4, maxRows: 32 } } });
  assert.deepEqual(readLimits(fileOf('')), { workerMaxRows: null, models: {} });
});

void test('what cannot be meant is refused, with its place', () => {
  assert.match(problemsOf('models: { plants: { concurency: { max: 1 } } }'), /models\.plants/);
  assert.match(problemsOf('models: { plants: { concurrency: { max: 0 } } }'), /models\.plants\.concurrency\.max/);
  assert.match(problemsOf('models: { plants: { concurrency: { reserved: 1 } } }'), /worker\.max_rows/);
  assert.match(
    problemsOf('worker: { max_rows: 4 }\nmodels: { a: { concurrency: { reserved: 2, max: 1 } } }'),
    /more rows are reserved than may run/,
  );
  assert.match(
    problemsOf('worker: { max_rows: 4 }\nmodels: { a: { concurrency: { reserved: 4 } } }'),
    /leaves other models none/,
  );
  assert.match(problemsOf('a: [1'), /no YAML/);
});

void test('a file that is not there is told by the setting that names it', () => {
  assert.throws(() => readLimits(join(folder, 'nothing.yaml')), {
    code: 'config_invalid',
    message: /POSTERN_LIMITS_FILE/,
  });
});
