/** Makes, lists and revokes API keys in the control records of this machine's gateway. */
import { readFileSync } from 'node:fs';
import { systemClock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { keyEntry, stateOf, type KeyRecord, type Scope } from '../../identity/keys/key.ts';
import { createKey, listKeys, prepareKeys, revokeKey } from '../../identity/keys/records.ts';
import { idOf } from '../../identity/keys/token.ts';
import { withRecords } from '../control-records.ts';
import { duration, printable, table } from '../terminal.ts';

export interface KeyCreateFlags {
  readonly scope: Scope[];
  readonly models?: string[];
  readonly rate?: number;
  readonly burst?: number;
  readonly maxUndecided?: number;
  readonly expires?: string;
  readonly json?: boolean;
}

export interface KeyListFlags {
  readonly all?: boolean;
  readonly json?: boolean;
}

export function create(name: string, flags: KeyCreateFlags): void {
  const expiresAt = flags.expires === undefined ? null : expiryOf(flags.expires, systemClock.now());
  const { record, token } = withRecords((records, act) => {
    prepareKeys(records);
    const wish = {
      name,
      scopes: flags.scope,
      models: flags.models ?? null,
      ratePerS: flags.rate ?? null,
      burstRequests: flags.burst ?? null,
      maxUndecidedJobs: flags.maxUndecided ?? null,
      expiresAt,
    };
    return asUsage(() => createKey(records, wish, act));
  });
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify({ ...keyEntry(record, systemClock.now()), key: token })}\n`);
    return;
  }
  // The key alone on standard output: `> ada.key` makes a file that --key-file takes.
  process.stdout.write(`${token}\n`);
  process.stderr.write(`Key ${record.id} (${record.scopes.join(', ')}). It is shown this once and kept nowhere.\n`);
}

export function list(flags: KeyListFlags): void {
  const now = systemClock.now();
  const keys = withRecords((records) => {
    prepareKeys(records);
    return listKeys(records.db);
  }).filter((key) => flags.all === true || stateOf(key, now) === 'active');
  if (flags.json === true) {
    process.stdout.write(
      `${JSON.stringify(
        keys.map((key) => keyEntry(key, systemClock.now())),
        null,
        2,
      )}\n`,
    );
    return;
  }
  if (keys.length === 0) {
    process.stdout.write('No keys. Make one with: postern keys create <name>\n');
    return;
  }
  const rows = keys.map((key) => [
    key.id,
    printable(key.name),
    key.scopes.join(','),
    key.models === null ? 'all' : key.models.join(','),
    limitsOf(key),
    stateOf(key, now) === 'active' ? untilText(key.expiresAt, now) : stateOf(key, now),
    key.lastUsedAt === null ? 'never' : `${duration(Math.max(0, now - key.lastUsedAt) / 1000)} ago`,
  ]);
  const columns = ['KEY', 'NAME', 'SCOPES', 'MODELS', 'LIMITS', 'ENDS', 'USED'].map((title) => ({ title }));
  process.stdout.write(table(columns, rows));
}

export function revoke(given: string): void {
  const id = given === '-' ? idOf(readFileSync(0, 'utf8').trim()) : given;
  const record = withRecords((records, act) => {
    prepareKeys(records);
    return revokeKey(records, id, act);
  });
  if (record === null) {
    throw new PosternError('config_invalid', `there is no key "${id.slice(0, 20)}": postern keys list shows them`);
  }
  process.stdout.write(`Key ${record.id} (${printable(record.name)}) is revoked.\n`);
}

const DAY_MS = 86_400_000;

/** `90d`, `12h`, `2027-01-31`, or a time with a zone → epoch ms. */
function expiryOf(text: string, nowMs: number): number {
  const span = /^(\d{1,4})([dh])$/.exec(text);
  if (span) return nowMs + Number(span[1]) * (span[2] === 'd' ? DAY_MS : DAY_MS / 24);
  const at = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:?\d\d))?$/.test(text) ? Date.parse(text) : NaN;
  if (Number.isFinite(at)) return at;
  throw new PosternError(
    'config_invalid',
    '--expires: expected 90d, 12h, a date such as 2027-01-31, or a time with a zone',
  );
}

/** What is wrong with the wish was wrong on the command line. */
function asUsage<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof PosternError) || error.code !== 'bad_parameter') throw error;
    throw new PosternError('config_invalid', error.message, { cause: error });
  }
}

function limitsOf({ ratePerS, burstRequests, maxUndecidedJobs }: KeyRecord): string {
  const parts: string[] = [];
  if (ratePerS !== null) parts.push(`${ratePerS}/s${burstRequests === null ? '' : ` (burst ${burstRequests})`}`);
  if (maxUndecidedJobs !== null) parts.push(`${maxUndecidedJobs} undecided`);
  return parts.length === 0 ? 'none' : parts.join(', ');
}

const untilText = (expiresAt: number | null, now: number): string =>
  expiresAt === null ? 'never' : `in ${duration((expiresAt - now) / 1000)}`;
