/** Options that several commands share, and how their values are checked. */
import { InvalidArgumentError, Option } from 'commander';
import { readFileSync, statSync } from 'node:fs';
import { createClient, type Client } from '../client/client.ts';
import { isHttpUrl, type Config } from './config.ts';
import { PosternError } from '../errors.ts';
import { faultOf } from '../identity/keys/token.ts';
import { loadConfig } from './env.ts';

export interface CallerOptions {
  readonly gateway?: string;
  readonly keyFile?: string;
  readonly json?: boolean;
}

export const gatewayOption = (): Option =>
  new Option('--gateway <url>', 'the gateway to talk to (default: POSTERN_URL, or http://127.0.0.1:8080)').argParser(
    (text: string) => {
      if (!isHttpUrl(text)) throw new InvalidArgumentError('Expected a URL like http://127.0.0.1:8080.');
      return text;
    },
  );

/** May be given several times. */
export const guideOption = (): Option =>
  new Option('--guide <folder>', 'serve this guide too, beside those of POSTERN_GUIDES_DIR (may be repeated)')
    .default([] as string[], 'none')
    .argParser((folder: string, before: string[]) => [...before, folder]);

export const keyFileOption = (): Option =>
  new Option('--key-file <path>', 'file that holds the API key (default: POSTERN_API_KEY)');

/** A key, and perhaps a line end. */
const MAX_KEY_FILE_BYTES = 1_024;

/** The key to call with: from the file, else from the settings. Throws config_invalid, without showing what it read. */
export function apiKeyOf(
  { keyFile }: Pick<CallerOptions, 'keyFile'>,
  { apiKey }: Pick<Config, 'apiKey'>,
): string | undefined {
  if (keyFile === undefined) return apiKey?.reveal();
  let text: string;
  try {
    const { size } = statSync(keyFile);
    if (size > MAX_KEY_FILE_BYTES) throw new Error(`it has ${size} bytes, which is no key`);
    text = readFileSync(keyFile, 'utf8').trim();
  } catch (error) {
    throw new PosternError('config_invalid', `--key-file ${keyFile} cannot be read (${(error as Error).message})`);
  }
  const fault = faultOf(text);
  if (fault !== null) throw new PosternError('config_invalid', `--key-file ${keyFile}: ${fault}`);
  return text;
}

export const jsonOption = (what: string): Option => new Option('--json', what);

export const integer =
  (min: number, max: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!/^\d{1,15}$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
    }
    return value;
  };

/** A client for a person who waits at a terminal: a gateway that is not there is said so within a second or two. */
export function clientFor(options: CallerOptions): Client {
  const config = loadConfig();
  return createClient({
    gateway: options.gateway ?? config.url,
    apiKey: apiKeyOf(options, config),
    retry: { maxAttempts: 3, firstMs: 150, maxMs: 5_000 },
  });
}

export const EXIT_CODES_HELP = `
Exit codes: 0 it worked, 1 the operation failed, 2 the command or the settings were wrong.`;
