// `npm test`: every test of the project with Node's own runner, then one plain line that people and machines can read.
// Arguments narrow the files: `npm test -- src/protocol`. Node ≥ 24 runs it (npm puts the pinned one on the path).
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { setInterval, setTimeout } from 'node:timers';
import { globSync, readFileSync } from 'node:fs';

if (Number(process.versions.node.split('.')[0]) < 24) {
  console.error(
    `The tests need Node 24, this is ${process.versions.node}: use npm test after npm ci, which brings it.`,
  );
  process.exit(1);
}

const wanted = process.argv.slice(2);
const files = globSync(['src/**/*.test.ts', 'test/**/*.test.ts', 'web/src/**/*.test.ts', 'models/**/*.test.ts'])
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort();
if (files.length === 0) {
  console.error(`No test file matches ${wanted.join(' ')}.`);
  process.exit(1);
}

const counts = { passed: 0, failed: 0, skipped: 0 };
// Two at a time: the system tests start processes of their own. The limit is for a test that hangs, not for a slow machine.
const stream = run({
  files,
  concurrency: 2,
  timeout: 300_000,
  execArgv: ['--import', new URL('../test/support/stalled.mjs', import.meta.url).href],
});
const isLeaf = (event) => event.details?.type !== 'suite';
stream.on('test:pass', (event) => {
  if (!isLeaf(event)) return;
  if (event.skip !== undefined || event.todo !== undefined) counts.skipped += 1;
  else counts.passed += 1;
});
stream.on('test:fail', (event) => {
  if (event.todo === undefined && isLeaf(event)) counts.failed += 1;
});
const output = stream.compose(new spec());
output.pipe(process.stdout);
watch();
output.on('end', () => {
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
  console.log(`\n${counts.passed} passed, ${counts.failed} failed${skipped}`);
  process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
});

/**
 * Node's runner waits for a file as long as anything holds its process, also when its tests are over, and says nothing. Here the process is
 * asked what holds it, and ended: a failure with a reason. Where a grandchild holds the output of a file that is gone, the whole run ends.
 */
function watch() {
  const FILE_MS = 15 * 60_000;
  const RUN_MS = 60 * 60_000;
  const startedAt = Date.now();
  const seenAt = new Map();
  const children = () => {
    try {
      return readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
    } catch {
      return [];
    }
  };
  const signal = (pid, name) => {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended in this moment.
    }
  };
  setInterval(() => {
    const now = Date.now();
    const alive = children();
    for (const pid of seenAt.keys()) if (!alive.includes(pid)) seenAt.delete(pid);
    for (const pid of alive) {
      if (!seenAt.has(pid)) seenAt.set(pid, now);
      if (now - seenAt.get(pid) < FILE_MS) continue;
      seenAt.set(pid, now);
      signal(pid, 'SIGQUIT');
      setTimeout(() => signal(pid, 'SIGKILL'), 5_000);
    }
    if (now - startedAt < RUN_MS) return;
    console.error(`The run did not end within ${RUN_MS / 60_000} min.`);
    console.log(`\n${counts.passed} passed, ${counts.failed + 1} failed`);
    process.exit(1);
  }, 5_000).unref();
}
