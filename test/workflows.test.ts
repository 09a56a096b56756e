/** The workflows of GitHub Actions: valid, with the least rights, nothing pinned to what can move, and no deploy cut off. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { lacking } from './support/needs.ts';

const root = new URL('..', import.meta.url).pathname;
const ACTIONLINT = `${root}.cache/bin/actionlint`;
const files = globSync('.github/workflows/*.yml', { cwd: root }).sort();

interface Workflow {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly concurrency?: { readonly group: string; readonly 'cancel-in-progress': boolean | string };
  readonly jobs: Readonly<Record<string, { readonly environment?: unknown; readonly 'timeout-minutes'?: number }>>;
}

const read = (file: string): string => readFileSync(`${root}${file}`, 'utf8');

void test(
  'actionlint finds nothing in them',
  { skip: existsSync(ACTIONLINT) ? false : lacking('actionlint is not built (scripts/actionlint.sh)') },
  () => {
    // Without shellcheck and pyflakes, which are on some machines and not on others.
    const { status, stdout, stderr } = spawnSync(ACTIONLINT, ['-shellcheck=', '-pyflakes=', ...files], {
      cwd: root,
      encoding: 'utf8',
    });
    assert.equal(status, 0, `${stdout}${stderr}`);
  },
);

void test('every action is pinned to a commit, with the version beside it', () => {
  assert.ok(files.length >= 2);
  for (const file of files) {
    for (const [line] of read(file).matchAll(/^.*\buses:.*$/gm)) {
      assert.match(line, /uses: [\w./-]+@[0-9a-f]{40} # v\d+(\.\d+){0,2}$/, `${file}: ${line.trim()}`);
    }
  }
});

void test('they may read the repository and, for OIDC, say who they are; nothing else', () => {
  for (const file of files) {
    const { permissions = { all: 'default' }, jobs } = parse(read(file)) as Workflow;
    for (const [right, level] of Object.entries(permissions)) {
      assert.ok(
        (right === 'contents' && level === 'read') || (right === 'id-token' && level === 'write'),
        `${file}: ${right}: ${level}`,
      );
    }
    for (const [name, job] of Object.entries(jobs)) {
      assert.ok((job['timeout-minutes'] ?? Infinity) <= 60, `${file}: ${name} has no time-out`);
    }
  }
});

void test('what deploys waits for the one before it, and for whoever guards the environment', () => {
  for (const file of files.filter((name) => name.includes('deploy'))) {
    const { concurrency, jobs } = parse(read(file)) as Workflow;
    assert.equal(concurrency?.['cancel-in-progress'], false, file);
    for (const job of Object.values(jobs)) assert.ok(job.environment !== undefined, file);
  }
});
