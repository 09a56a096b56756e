/** Options that several commands share, and how their values are checked. */
import { InvalidArgumentError, Option } from 'commander';
import { createClient, type Client } from '../client/client.ts';
import { isHttpUrl } from './config.ts';
import { loadConfig } from './env.ts';

export interface CallerOptions {
  readonly gateway?: string;
  readonly json?: boolean;
}

export const gatewayOption = (): Option =>
  new Option('--gateway <url>', 'the gateway to talk to (default: POSTERN_URL, or http://127.0.0.1:8080)').argParser(
    (text: string) => {
      if (!isHttpUrl(text)) throw new InvalidArgumentError('Expected a URL like http://127.0.0.1:8080.');
      return text;
    },
  );

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
  const gateway = options.gateway ?? loadConfig().url;
  return createClient({ gateway, retry: { maxAttempts: 3, firstMs: 150, maxMs: 5_000 } });
}

export const EXIT_CODES_HELP = `
Exit codes: 0 it worked, 1 the operation failed, 2 the command or the settings were wrong.`;
