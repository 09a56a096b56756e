import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * Is a program that a test needs on this machine? Where it is missing the test is skipped with a reason; with
 * POSTERN_TEST_REQUIRE=1 (as in CI) the missing program is an error instead, so that a skip cannot hide for long.
 *
 * Returns what node:test takes as `skip`: false, or the reason.
 */
export function needsProgram(...names: readonly string[]): false | string {
  const folders = (process.env.PATH ?? '').split(delimiter).concat('/usr/sbin', '/sbin');
  const missing = names.filter((name) => !folders.some((folder) => existsSync(join(folder, name))));
  return missing.length === 0 ? false : lacking(`${missing.join(', ')} is not installed`);
}

/** A reason to skip, or an error where nothing may be missing. */
export function lacking(reason: string): string {
  if (process.env.POSTERN_TEST_REQUIRE === '1') {
    throw new Error(`POSTERN_TEST_REQUIRE=1, and ${reason}: install it, or unset the switch to skip this test.`);
  }
  return reason;
}
