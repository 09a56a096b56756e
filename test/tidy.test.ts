/** The structure test: imports follow the design's table, nothing is dead, and time and environment have one door each. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { cruise, type ICruiseResult, type IConfiguration } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';

const root = new URL('..', import.meta.url).pathname;
const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root })
  .toString()
  .split('\n')
  .filter((file) => /^(src|test|bench|scripts|bin|examples|web)\/.*\.(tsx?|mjs)$/.test(file));
const sources = tracked.filter((file) => file.startsWith('src/') && !/\.(test|suite)\.ts$/.test(file));

/** Of the pages, which a browser runs: reached from their entry, and free of the rules for time and environment. */
const pages = tracked.filter((file) => /^web\/src\/.*(?<!\.test|\.d)\.tsx?$/.test(file));

const read = (file: string): string => readFileSync(new URL(file, `file://${root}`), 'utf8');

async function graph(): Promise<ICruiseResult> {
  const config = createRequire(import.meta.url)('../.dependency-cruiser.cjs') as IConfiguration;
  const { output } = await cruise(
    ['src', 'test', 'bench', 'bin', 'scripts', 'examples', 'web/src', 'web/build', 'web/vite.config.ts'],
    { ...config.options, exclude: { path: 'tidy-violation' }, ruleSet: config, validate: true, baseDir: root },
    undefined,
    { tsConfig: extractTSConfig(`${root}tsconfig.json`) },
  );
  return output as ICruiseResult;
}

void test('imports follow the table, without cycles, and no source file is dead', async () => {
  const result = await graph();
  const violations = result.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`);
  assert.deepEqual(violations, []);

  // Alive is what an entry point reaches: the command line, the pages' entry, a benchmark, an example, or a worker thread or child process started by its path.
  const edges = new Map(result.modules.map((m) => [m.source, m.dependencies.map((d) => d.resolved)]));
  const reached = new Set<string>();
  const visit = (file: string): void => {
    if (reached.has(file)) return;
    reached.add(file);
    for (const next of edges.get(file) ?? []) visit(next);
  };
  visit('bin/postern.mjs');
  visit('src/cli/main.ts');
  visit('web/src/main.tsx');
  for (const file of tracked) if (file.startsWith('examples/')) visit(file);
  // Started by path, not by import: worker threads and child processes name themselves here.
  for (const file of sources) if (/[.-](thread|process)\.ts$/.test(file)) visit(file);
  const dead = [...sources, ...pages].filter((file) => /\.tsx?$/.test(file) && !reached.has(file));
  assert.deepEqual(dead, [], 'reached from no entry point: delete it, or call it');
});

void test('the cruiser sees a violation when there is one', async () => {
  const config = createRequire(import.meta.url)('../.dependency-cruiser.cjs') as IConfiguration;
  const { output } = await cruise(
    ['test/support/tidy-violation'],
    {
      ...config.options,
      ruleSet: { forbidden: [{ name: 'seen', severity: 'error', from: {}, to: { circular: true } }] },
      validate: true,
      baseDir: root,
    },
    undefined,
    { tsConfig: extractTSConfig(`${root}tsconfig.json`) },
  );
  assert.ok((output as ICruiseResult).summary.violations.length > 0);
});

void test('the environment is read in cli/ alone, and time comes from clock.ts alone', () => {
  const found: string[] = [];
  for (const file of sources) {
    // The page's scripts run in a browser, which has neither a Clock nor an environment.
    if (file.includes('/page/')) continue;
    const text = read(file).replace(/\/\*[\s\S]*?\*\/|(?<![:'"`])\/\/.*$/gm, '');
    if (!file.startsWith('src/cli/') && text.includes('process.env')) found.push(`${file}: process.env`);
    if (
      file !== 'src/clock.ts' &&
      /\b(Date\.now|performance\.now|setTimeout|setInterval)\s*\(|new Date\(\)/.test(text)
    ) {
      found.push(`${file}: time outside the Clock`);
    }
  }
  assert.deepEqual(found, []);
});

void test('no file is so long that a second noun must have moved in', () => {
  const long = tracked
    .map((file) => ({ file, lines: read(file).split('\n').length }))
    .filter(({ lines }) => lines > 420)
    .map(({ file, lines }) => `${file}: ${lines} lines`);
  assert.deepEqual(long, []);
});

void test('every dependency is pinned to one version, and justified in docs/architecture/dependencies.md', () => {
  const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string>>;
  const text = read('docs/architecture/dependencies.md');
  for (const group of ['dependencies', 'optionalDependencies', 'devDependencies']) {
    for (const [name, version] of Object.entries(manifest[group] ?? {})) {
      assert.match(version, /^\d+\.\d+\.\d+$/, `${name} is not pinned`);
      assert.ok(text.includes(`\`${name}\``), `${name} has no line in docs/architecture/dependencies.md`);
    }
  }
});
