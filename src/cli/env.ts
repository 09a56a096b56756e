/** The one reader of the process environment, and of `.env` beside it. What the real environment says wins. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { PosternError } from '../errors.ts';
import { parseConfig, type Config, type Environment } from './config.ts';
import type { SettingKey } from './settings.ts';

/** A `.env` is a handful of lines; a huge one is some other file. */
const MAX_ENV_FILE_BYTES = 65_536;

/** Throws config_invalid when `.env` cannot be read or a setting cannot be used. */
export function loadConfig(): Config {
  const folder = process.cwd();
  return parseConfig({ ...readEnvFile(join(folder, '.env')), ...process.env }, folder);
}

/** Did somebody choose this setting, rather than leave it to its default? */
export function isSet(key: SettingKey): boolean {
  return (process.env[key] ?? readEnvFile(join(process.cwd(), '.env'))[key] ?? '') !== '';
}

/** What somebody chose for this setting, as it is written; null: it was left to its default. */
export function chosen(key: SettingKey): string | null {
  return (process.env[key] ?? readEnvFile(join(process.cwd(), '.env'))[key] ?? '') || null;
}

/** The environment for a child process: this one's, with `changes`. */
export function childEnvironment(changes: Record<string, string>): Record<string, string | undefined> {
  return { ...process.env, ...changes };
}

export function noColour(): boolean {
  return (process.env.NO_COLOR ?? '') !== '' || process.env.TERM === 'dumb';
}

function readEnvFile(file: string): Environment {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new PosternError(
      'config_invalid',
      `${file} cannot be read (${(error as Error).message}): correct its permissions or remove it`,
    );
  }
  if (text.length > MAX_ENV_FILE_BYTES) {
    throw new PosternError(
      'config_invalid',
      `${file} is larger than ${MAX_ENV_FILE_BYTES} bytes: it should hold a few KEY=value lines`,
    );
  }
  return parseEnv(text);
}
