/**
 * Requests that schemathesis makes up from the gateway's own OpenAPI document, against a live gateway with a live worker: good
 * ones, broken ones, ones with too much. Checked: no fault (5xx, but for those that test/python/fuzz_http.py names), every
 * answer as the document says, every refusal a problem, and nothing answered without a key that asks for one.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PosternSystem, untilModel } from '../support/postern.ts';
import type { Gateway } from '../support/postern.ts';

/** By the name of a path parameter, or `path#name`: values that exist. */
type Known = Readonly<Record<string, readonly string[]>>;

export interface FuzzTarget {
  readonly system: PosternSystem;
  readonly gateway: Gateway;
  readonly known: Known;
}

/** A gateway with a worker, and with something behind its addresses. It has no key yet. The caller removes `system`. */
export async function openFuzzTarget(): Promise<FuzzTarget> {
  const system = new PosternSystem();
  const gateway = await system.gateway();
  system.worker(gateway, system.issue('gpu-1'));
  await untilModel(gateway.url, 'echo');
  const idOf = async (path: string, body: string | FormData): Promise<string> => {
    const headers = { prefer: 'wait', ...(typeof body === 'string' ? { 'content-type': 'application/json' } : {}) };
    const response = await fetch(gateway.url + path, { method: 'POST', body, headers });
    if (!response.ok) throw new Error(`${path} was answered with ${response.status}: ${await response.text()}`);
    return ((await response.json()) as { id: string }).id;
  };
  const form = new FormData();
  form.set('content', new Blob(['hello']), 'hello.txt');
  const files = [await idOf('/v1/files', form)];
  const predictions = '/v1/models/local/echo/predictions';
  const known = {
    id: [await idOf(predictions, '{"input": "a"}'), await idOf(predictions, '{"input": {"x": 1}}')],
    name: ['echo'],
    version: ['1'],
    '/v1/files/{id}#id': files,
    '/v1/files/{id}/download#id': files,
    // Nobody revokes the key that the requests are made with.
    '/v1/admin/keys/{id}/revoke#id': [],
  };
  return { system, gateway, known };
}

/** A key that may do everything. From then on the gateway asks for one. */
export function makeKey({ system }: FuzzTarget): string {
  const made = system.command('gateway', ['keys', 'create', 'fuzz', '--scope', 'admin', '--json']);
  return (JSON.parse(made) as { key: string }).key;
}

export interface FuzzRun {
  readonly python: string;
  readonly key: string | null;
  /** Of schemathesis: its examples, its systematic tour of every schema, and what chance makes up. */
  readonly phases: 'examples,coverage,fuzzing' | 'fuzzing';
  /** For each operation and way of making requests up. */
  readonly examples: number;
  readonly seed: number;
  readonly timeoutMs: number;
}

/** What schemathesis reports; null: nothing was found. Rejects when it did not run to its end. */
export async function fuzzHttp({ gateway, known }: FuzzTarget, run: FuzzRun): Promise<string | null> {
  // It keeps what it generated beside itself, and would repeat that instead of following the seed.
  const folder = await mkdtemp(join(tmpdir(), 'postern-fuzz-'));
  const hooks = new URL('../python/', import.meta.url).pathname;
  const args = [
    ...['-m', 'schemathesis.cli', 'run', `${gateway.url}/openapi.json`, '--no-color', '--continue-on-failure'],
    ...['--phases', run.phases, '--workers', '1', '--max-failures', '50', '--request-timeout', '90'],
    // A caller may ask to wait for a minute.
    ...['--max-response-time', '80'],
    ...['--max-examples', String(run.examples), '--seed', String(run.seed), '--no-shrink', '--checks', 'all'],
    // 5xx are judged by a check of ours. Not everything that fits the document makes sense: models may be unknown, ids gone.
    ...['--exclude-checks', 'not_a_server_error,positive_data_acceptance'],
    // Events without an end.
    ...['--exclude-path', '/v1/admin/live'],
    ...(run.key === null ? [] : ['--header', `Authorization: Bearer ${run.key}`]),
  ];
  const env = {
    ...process.env,
    PYTHONPATH: hooks,
    PYTHONDONTWRITEBYTECODE: '1',
    SCHEMATHESIS_HOOKS: 'fuzz_http',
    POSTERN_FUZZ_KNOWN: JSON.stringify(known),
  };
  try {
    return await new Promise((resolve, reject) => {
      const options = { cwd: folder, env, timeout: run.timeoutMs, maxBuffer: 64 * 1024 * 1024 };
      execFile(run.python, args, options, (error, stdout, stderr) => {
        if (/\d{2,} generated/.test(stdout) && (error === null || error.code === 1)) resolve(error && stdout);
        else reject(new Error(`schemathesis did not run to its end: ${stderr}\n${stdout.slice(-8_000)}`));
      });
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
