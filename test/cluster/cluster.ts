/** Makes the hosts of a fault run, runs it on the callers' host, and removes everything, however it ends. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { makeLan } from '../support/lan.ts';
import { cannotMakeHosts } from '../support/netns.ts';
import { cannotRunPostgres } from '../support/postgres.ts';
import { cannotBalance } from './balancer.ts';
import type { RunResult } from './run.ts';
import type { ProcessOptions } from './run-process.ts';
import { HOSTS } from './site.ts';

export type ClusterOptions = Omit<ProcessOptions, 'plan'>;

const PROGRAM = new URL('./run-process.ts', import.meta.url).pathname;

/** Why this machine cannot run it, or false. */
export const cannotRunCluster = (): false | string => cannotMakeHosts() || cannotRunPostgres() || cannotBalance();

export async function runCluster(options: ClusterOptions, progress: (line: string) => void): Promise<RunResult> {
  // PostgreSQL, as another user, must get in.
  const folder = mkdtempSync(join(tmpdir(), 'pc-'));
  chmodSync(folder, 0o755);
  const lan = makeLan(HOSTS, folder);
  try {
    const given: ProcessOptions = { ...options, plan: lan.plan };
    const [program = '', ...words] = [...lan.inside('callers'), process.execPath, PROGRAM, JSON.stringify(given)];
    const child = spawn(program, words, {
      env: { ...process.env, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let result: RunResult | null = null;
    createInterface({ input: child.stdout }).on('line', (line) => {
      const said = JSON.parse(line) as { step?: string; result?: RunResult };
      if (said.step !== undefined) progress(said.step);
      result = said.result ?? result;
    });
    const [code] = (await once(child, 'close')) as [number | null];
    if (result === null) throw new Error(`the run ended with ${code} before its result`);
    return result;
  } finally {
    await lan.remove();
  }
}
