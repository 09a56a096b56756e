/** The control records for one command, which may run beside gateways that have them open. */
import { userInfo } from 'node:os';
import { systemClock } from '../clock.ts';
import { openRecords, type Records } from '../identity/records.ts';
import { loadConfig } from './env.ts';

/** Who gave the command and when, for the audit log. */
export interface CommandAct {
  readonly actor: string;
  readonly at: number;
}

export function withRecords<T>(use: (records: Records, act: CommandAct) => T): T {
  const records = openRecords(loadConfig().dataDir);
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
