/**
 * Commands for a POSIX shell on another machine. Every value is quoted here and nowhere else, and folders have a form that
 * needs no quoting at all: the scripts are read by people as well, in `--dry-run`.
 */
import { PosternError } from '../../errors.ts';

/** One word of a command line, whatever it holds. */
export const quoted = (word: string): string =>
  /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

export const commandLine = (words: readonly string[]): string => words.map(quoted).join(' ');

/** Absolute, or below the home of whoever logs in (`~/postern`); no part that climbs. */
export function checkFolder(option: string, folder: string): string {
  if (/^(~|)(\/[A-Za-z0-9_][A-Za-z0-9._-]*)+$/.test(folder) && folder.length <= 200) return folder;
  throw new PosternError(
    'config_invalid',
    `${option}: expected a folder like /opt/postern or ~/postern (letters, digits, - _ .), got "${folder.slice(0, 60)}"`,
  );
}

/** `user@host`, `host` or an alias of the ssh configuration. A leading `-` would be an option of ssh. */
export function checkTarget(target: string): string {
  if (/^([A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9_[][A-Za-z0-9._:%\]-]*$/.test(target) && target.length <= 255)
    return target;
  throw new PosternError(
    'config_invalid',
    `expected a machine like postern@gateway.example.org, or a name of your ssh configuration, got "${target.slice(0, 60)}"`,
  );
}
