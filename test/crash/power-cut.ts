/** Power cuts: what a loaded store acknowledged must be there, whatever the disk forgot that it was not told to flush. */
import { spawn } from 'node:child_process';
import { createReadStream, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Random } from '../support/random.ts';
import { createForgetfulDisk, STRACE_ARGS } from './forgetful-disk.ts';
import { inspect } from './inspect.ts';
import { compare, createStoreJournal, finish, type StoreJournal } from './journal.ts';
import { openStore } from './load.ts';

const LOAD = join(import.meta.dirname, 'load.ts');

export interface PowerCutOptions {
  /** Empty; left to the caller. */
  readonly folder: string;
  readonly cuts: number;
  /** The load ends when so many jobs are acknowledged. */
  readonly jobs: number;
  readonly random: Random;
  /** Flushes of such files do nothing, to see that somebody notices. */
  readonly lies?: (name: string) => boolean;
  readonly onCut?: (cut: number, accepted: number) => void;
}

export interface PowerCutResult {
  readonly cuts: number;
  readonly accepted: number;
  readonly decided: number;
  readonly flushes: number;
  readonly problems: string[];
}

export async function powerCuts(options: PowerCutOptions): Promise<PowerCutResult> {
  const { folder, cuts, jobs, random, lies, onCut } = options;
  const trace = join(folder, 'trace');
  const data = join(folder, 'data');
  const lines = await record(trace, data, jobs);
  const moments = new Set<number>();
  while (moments.size < Math.min(cuts, lines)) moments.add(random.int(1, lines));
  const disk = createForgetfulDisk(data, lies);
  const journal = createStoreJournal();
  const problems: string[] = [];
  let [at, cut, isReady] = [0, 0, false];
  for await (const line of createInterface({ input: createReadStream(trace, 'latin1') })) {
    const said = disk.see(line);
    if (said !== null) journal.read(said);
    isReady ||= said === 'ready\n';
    at += 1;
    // Before it was ready it promised nothing, not even that there is a file.
    if (!isReady || !moments.has(at)) continue;
    cut += 1;
    const found = join(folder, `cut-${cut}`);
    disk.cut(found, random);
    problems.push(...(await wrongIn(found, journal)).map((what) => `cut ${cut} at line ${at}: ${what}`));
    rmSync(found, { recursive: true, force: true });
    onCut?.(cut, journal.accepted.size);
  }
  const { accepted, decided } = journal;
  return { cuts: cut, accepted: accepted.size, decided: decided.size, flushes: disk.flushes, problems };
}

/** Everything that is not as it was acknowledged before the cut; then what is left is run, and the file looked at. */
async function wrongIn(folder: string, journal: StoreJournal): Promise<string[]> {
  try {
    const problems: string[] = [];
    const store = await openStore(folder);
    try {
      problems.push(...(await compare(store, journal)), ...(await finish(store)));
    } finally {
      await store.stop();
    }
    return [...problems, ...inspect(join(folder, 'jobs.sqlite'))];
  } catch (error) {
    return [`the store cannot be used: ${(error as Error).message}`];
  }
}

/** Runs the load under strace until it has acknowledged `jobs`; returns how many lines strace wrote. */
function record(trace: string, data: string, jobs: number): Promise<number> {
  const child = spawn('strace', ['-o', trace, ...STRACE_ARGS, process.execPath, LOAD, data, '1', '8'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  let accepted = 0;
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('A ') && ++accepted === jobs) process.kill(-child.pid!, 'SIGKILL');
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => {
      let lines = 0;
      createInterface({ input: createReadStream(trace, 'latin1') })
        .on('line', () => (lines += 1))
        .on('close', () => (accepted >= jobs ? resolve(lines) : reject(new Error(`only ${accepted} were accepted`))));
    });
  });
}
