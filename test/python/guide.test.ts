/** docs/python.md, "The first one": its commands are run as they stand there, and its answer is the one that it shows. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { needPython } from '../support/python.ts';

const ROOT = new URL('../../', import.meta.url).pathname;

test('a first model, from the commands of the guide to its answer', async (t) => {
  const python = needPython(t);
  if (python === null) return;
  const guide = readFileSync(join(ROOT, 'docs/python.md'), 'utf8');
  const [make = '', ask = ''] = [...guide.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1]);
  const [files = '', start = ''] = make.split(/^(?=npx postern)/m);
  assert.equal(start.trim(), 'npx postern up --models my-models');

  const folder = mkdtempSync(join(tmpdir(), 'postern-guide-'));
  execFileSync('bash', ['-euc', files], { cwd: folder });
  const up = spawn(process.execPath, [join(ROOT, 'bin/postern.mjs'), ...start.trim().split(' ').slice(2), '--json'], {
    cwd: folder,
    env: { ...process.env, POSTERN_HTTP_PORT: '0', POSTERN_TUNNEL_PORT: '0', POSTERN_PYTHON: python },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => up.once('close', () => resolve()));
  t.after(async () => {
    up.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  });
  const url = await new Promise<string>((resolve, reject) => {
    void ended.then(() => reject(new Error('postern up ended before it was ready')));
    createInterface({ input: up.stdout }).on('line', (line) => {
      if (line.startsWith('{')) resolve((JSON.parse(line) as { url: string }).url);
    });
  });
  const answer = execFileSync('bash', ['-euc', ask.replace('http://127.0.0.1:8080', url)], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const expected = /^`"output":"(\w+)"`/m.exec(guide)?.[1];
  assert.deepEqual([(JSON.parse(answer.toString()) as { output: unknown }).output, expected], ['HELLO', 'HELLO']);
});
