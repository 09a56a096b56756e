import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PosternError } from '../errors.ts';
import { parseWorkerConfig } from './config.ts';

test('a worker needs only its models’ folder; the rest has defaults, frozen', () => {
  const config = parseWorkerConfig({ modelsDir: '/srv/models' });
  assert.deepEqual([config.targets, config.drainMs], [[{ host: '127.0.0.1', port: 37_373 }], 30_000]);
  assert.equal(config.maxImagePixels, 50_000_000);
  assert.ok(config.maxDecodes >= 2 && config.maxDecodes <= 4 && config.memoryMb > 0);
  assert.throws(() => Object.assign(config, { targets: [] }), TypeError);
});

test('every problem of a worker’s configuration is told at once, by key', () => {
  const input = { modelsDir: '', targets: [{ port: 0 }], drainMs: -1, gateway: 'x' };
  assert.throws(
    () => parseWorkerConfig(input),
    (error: unknown) => {
      assert.ok(error instanceof PosternError && error.code === 'config_invalid');
      for (const key of ['modelsDir', 'targets.0.port', 'drainMs', 'gateway'])
        assert.match(error.message, new RegExp(key));
      return true;
    },
  );
});
