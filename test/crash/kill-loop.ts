/** Starts the load, kills it with SIGKILL at a random moment, again and again, on one store; then compares. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { inspect } from './inspect.ts';
import { compare, createStoreJournal, finish } from './journal.ts';
import { openStore } from './load.ts';

const LOAD = join(import.meta.dirname, 'load.ts');

export interface KillLoopOptions {
  readonly folder: string;
  readonly kills: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Lives last from 0 to this after the store is open. */
  readonly maxLifeMs: number;
  readonly onLife?: (life: number, accepted: number) => void;
}

export interface KillLoopResult {
  readonly kills: number;
  readonly accepted: number;
  readonly decided: number;
  readonly canceled: number;
  readonly problems: string[];
}

export async function killLoop(options: KillLoopOptions): Promise<KillLoopResult> {
  const { folder, kills, random, maxLifeMs, onLife } = options;
  const journal = createStoreJournal();
  for (let life = 1; life <= kills; life += 1) {
    journal.read(await oneLife(folder, life, random() * maxLifeMs));
    onLife?.(life, journal.accepted.size);
    if (journal.problems.length > 0) break;
  }
  const problems: string[] = [];
  const store = await openStore(folder);
  try {
    problems.push(...(await compare(store, journal)), ...(await finish(store)), ...(await compare(store, journal)));
  } finally {
    await store.stop();
  }
  problems.push(...inspect(join(folder, 'jobs.sqlite')));
  const { accepted, decided, canceled } = journal;
  return { kills, accepted: accepted.size, decided: decided.size, canceled: canceled.size, problems };
}

/** What it wrote until it was killed. */
function oneLife(folder: string, life: number, lifeMs: number): Promise<string> {
  const child = spawn(process.execPath, [LOAD, folder, String(life)], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [text, errors] = ['', ''];
  let isReady = false;
  return new Promise((resolve, reject) => {
    const tooLong = setTimeout(() => child.kill('SIGKILL'), 60_000);
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (isReady || !text.includes('ready\n')) return;
      isReady = true;
      setTimeout(() => child.kill('SIGKILL'), lifeMs);
    });
    child.once('close', (_code, signal) => {
      clearTimeout(tooLong);
      if (isReady && signal === 'SIGKILL') resolve(text);
      else reject(new Error(`life ${life} ended by itself:\n${errors.slice(-2_000)}`));
    });
  });
}
