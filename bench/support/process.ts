/** Processes under measurement: start, processor time and memory as the kernel accounts them, stop. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface Measured {
  readonly pid: number;
  readonly child: ChildProcess;
  /** The first line of JSON that it printed. */
  readonly ready: Record<string, unknown>;
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Also write its standard error here? Otherwise it is shown only when the start fails. */
  readonly timeoutMs?: number;
}

/** Starts a process and waits for the line of JSON that says it is ready. */
export function start(program: string, args: readonly string[], options: StartOptions = {}): Promise<Measured> {
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const pid = child.pid;
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4_000)));
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`${program} ${args.join(' ')}: ${why}\n${errors}`));
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail('not ready in time');
    }, options.timeoutMs ?? 30_000);
    child.on('error', (error) => fail(error.message));
    child.on('close', (code) => fail(`ended with ${code} before it was ready`));
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (!line.startsWith('{')) return;
      clearTimeout(timer);
      resolve({
        pid: pid ?? -1,
        child,
        ready: JSON.parse(line) as Record<string, unknown>,
        async stop() {
          child.kill('SIGTERM');
          const hard = setTimeout(() => child.kill('SIGKILL'), 10_000);
          await ended;
          clearTimeout(hard);
        },
      });
    });
  });
}

/** Seconds of processor time that all threads of a process have used (Linux: schedstat, in nanoseconds). */
export const cpuSeconds = (pid: number): number => schedstat(pid, 0);

/** Seconds that its threads were ready to run and had no core: what others on the machine took from it. */
export const waitedSeconds = (pid: number): number => schedstat(pid, 1);

function schedstat(pid: number, field: 0 | 1): number {
  let nanoseconds = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[field]);
  }
  return nanoseconds / 1e9;
}

/** Resident and proportional memory in bytes. */
export function memoryBytes(pid: number): { rss: number; pss: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) * 1_024;
  return { rss: field('Rss'), pss: field('Pss') };
}
