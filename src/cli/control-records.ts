/** The control records for one command, which may run beside gateways that have them open. */
import { userInfo } from 'node:os';
import { systemClock } from '../clock.ts';
import { existsSync } from 'node:fs';
import { openRecords, recordsPath, type Records } from '../identity/records.ts';
import { openSharedRecords } from '../identity/shared/shared-records.ts';
import type { Config } from './config.ts';
import { loadConfig } from './env.ts';

/** Who gave the command and when, for the audit log. */
export interface CommandAct {
  readonly actor: string;
  readonly at: number;
}

/** Of this machine, or with `DATABASE_URL` those that all gateways on that database share. */
export function openControlRecords({ dataDir, databaseUrl }: Config): Records {
  if (databaseUrl === null) return openRecords(dataDir);
  return openSharedRecords({ url: databaseUrl, clock: systemClock, seed: () => ofThisMachine(dataDir) });
}

/** What this machine had before it shared: its workers, keys and audit log go with it. */
function ofThisMachine(dataDir: string): Uint8Array | null {
  if (!existsSync(recordsPath(dataDir))) return null;
  const records = openRecords(dataDir);
  try {
    return records.db.serialize();
  } finally {
    records.close();
  }
}

export function withRecords<T>(use: (records: Records, act: CommandAct) => T): T {
  const records = openControlRecords(loadConfig());
  try {
    return use(records, commandAct());
  } finally {
    records.close();
  }
}

export const commandAct = (): CommandAct => ({ actor: `cli:${userName()}`, at: systemClock.now() });

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A user id without an entry in the system's table, as in many containers.
    return String(process.getuid?.() ?? 'unknown');
  }
}
