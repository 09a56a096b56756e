/**
 * The Python of the tests: POSTERN_TEST_PYTHON, or the environment that scripts/python_env.sh makes. It is asked once per module
 * whether it has it, without importing it (torch takes seconds).
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { lacking } from './needs.ts';

const PYTHON = process.env.POSTERN_TEST_PYTHON ?? new URL('../../.cache/python/bin/python', import.meta.url).pathname;
const FIND = 'import sys, importlib.util as u; print(*[n for n in sys.argv[1:] if u.find_spec(n) is None])';

const missing = new Map<string, boolean>();

/**
 * The interpreter's path when it has these modules; otherwise the test is skipped with the reason and null comes back (with
 * POSTERN_TEST_REQUIRE=1 it throws instead).
 *
 *     const python = needPython(t, 'torch');
 *     if (python === null) return;
 */
export function needPython(t: TestContext, ...modules: readonly string[]): string | null {
  const reason = whyNot(modules);
  if (reason === null) return PYTHON;
  t.skip(lacking(reason));
  return null;
}

function whyNot(modules: readonly string[]): string | null {
  if (!existsSync(PYTHON)) return `there is no Python at ${PYTHON} (scripts/python_env.sh makes it)`;
  const unknown = modules.filter((name) => !missing.has(name));
  if (unknown.length > 0) {
    const printed = execFileSync(PYTHON, ['-c', FIND, ...unknown], { encoding: 'utf8' })
      .trim()
      .split(' ');
    for (const name of unknown) missing.set(name, printed.includes(name));
  }
  const lost = modules.filter((name) => missing.get(name));
  return lost.length === 0 ? null : `Python lacks ${lost.join(', ')} (scripts/python_env.sh installs what tests need)`;
}
