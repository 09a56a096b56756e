/** Starts the load, kills it with SIGKILL at a random moment, again and again, on one store; then compares. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
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

/** The file itself: whole, and its sums right. */
export function inspect(path: string): string[] {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const problems: string[] = [];
    for (const row of db.prepare('PRAGMA integrity_check').all() as { integrity_check: string }[]) {
      if (row.integrity_check !== 'ok') problems.push(row.integrity_check);
    }
    if (db.prepare('PRAGMA foreign_key_check').all().length > 0) problems.push('a payload has no job');
    for (const [what, sql] of Object.entries(SUMS)) {
      if (db.prepare(sql).all().length > 0) problems.push(`the sums are wrong: ${what}`);
    }
    return problems;
  } finally {
    db.close();
  }
}

/** Each gives a row when something is wrong. */
const SUMS = {
  lanes: `SELECT 1 FROM lane WHERE (waiting_jobs, waiting_rows, processing_jobs) IS NOT (
      SELECT count(*) FILTER (WHERE status = 'starting'), coalesce(sum(rows) FILTER (WHERE status = 'starting'), 0),
        count(*) FILTER (WHERE status = 'processing')
      FROM job WHERE job.model = lane.model AND job.version = lane.version)`,
  'lanes of every job': `SELECT 1 FROM job WHERE completed_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM lane WHERE lane.model = job.model AND lane.version = job.version)`,
  'decided jobs': 'SELECT 1 FROM total WHERE decided_jobs <> (SELECT count(*) FROM job WHERE completed_at IS NOT NULL)',
  'input bytes': `SELECT 1 FROM total WHERE input_bytes <>
      (SELECT coalesce(sum(input_bytes), 0) FROM job WHERE completed_at IS NULL)`,
  'output bytes': `SELECT 1 FROM total WHERE output_bytes <>
      (SELECT coalesce(sum(output_bytes), 0) FROM job WHERE completed_at IS NOT NULL)`,
  inputs: `SELECT 1 FROM job LEFT JOIN input ON input.seq = job.seq
      WHERE (completed_at IS NULL) <> (input.seq IS NOT NULL)`,
  'numbers used twice': 'SELECT 1 FROM total WHERE next_seq <= (SELECT coalesce(max(seq), 0) FROM job)',
};
