import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PosternError } from '../errors.ts';
import { parseGatewayConfig, type GatewayConfigInput } from './config.ts';

function problemsOf(input: unknown): string {
  try {
    parseGatewayConfig(input as GatewayConfigInput);
  } catch (error) {
    assert.ok(error instanceof PosternError);
    assert.equal(error.code, 'config_invalid');
    return error.message;
  }
  throw new Error('it was accepted');
}

describe('the configuration of a gateway', () => {
  test('needs only a folder, and is on loopback then', () => {
    const config = parseGatewayConfig({ dataDir: '/var/lib/postern' });
    assert.deepEqual([config.http.host, config.http.port, config.tunnel.port], ['127.0.0.1', 8080, 37_373]);
    assert.equal(config.http.maxBodyBytes, 20 * 1024 * 1024);
  });

  test('is frozen, inside too', () => {
    const config = parseGatewayConfig({ dataDir: '/x' });
    assert.throws(() => Object.assign(config, { name: 'other' }), TypeError);
    assert.throws(() => Object.assign(config.http, { port: 1 }), TypeError);
  });

  test('reports every problem at once, by key', () => {
    const problems = problemsOf({ http: { port: 70_000, publicUrl: 'ftp://x' }, jobs: { leaseMs: 1 } });
    for (const key of ['dataDir', 'http.port', 'http.publicUrl', 'jobs.leaseMs'])
      assert.ok(problems.includes(`${key}:`), problems);
  });

  test('refuses keys that it does not know', () => {
    assert.match(problemsOf({ dataDir: '/x', http: { prot: 1 } }), /http: .*prot/);
  });
});
