/**
 * Postern as a user starts it: `postern gateway`, `postern issue`, `postern worker`, each a process of its own, on ports
 * given by the system, in a folder that is removed afterwards. For the system tests and the benchmarks.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const PROGRAM = new URL('../../bin/postern.mjs', import.meta.url).pathname;
const MODELS = new URL('../../models', import.meta.url).pathname;

export interface Process {
  readonly pid: number;
  readonly child: ChildProcess;
  /** The end of what it wrote to standard error. */
  log(): string;
  /** Resolves when it is gone, whatever ended it. */
  readonly ended: Promise<void>;
  /** Asks it to end, and waits; after 15 s it is ended by force and the promise rejects. */
  stop(): Promise<void>;
  kill(): Promise<void>;
}

export interface Gateway extends Process {
  readonly url: string;
  readonly httpPort: number;
  readonly tunnelPort: number;
}

export interface SystemOptions {
  readonly modelsDir?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Words before the command, such as `ip netns exec host`. */
  readonly gatewayPrefix?: readonly string[];
  readonly workerPrefix?: readonly string[];
  readonly httpHost?: string;
  readonly tunnelHost?: string;
  /** Where the worker dials; the gateway's address by default. */
  readonly targetHost?: string;
}

/** How one process is started, other than its system's. */
export interface Launch {
  readonly env?: Readonly<Record<string, string>>;
  /** Words before the command. The process gets a group of its own, and is killed with whatever stands before it. */
  readonly prefix?: readonly string[];
}

function launch(
  words: readonly string[],
  env: Readonly<Record<string, string>>,
  { prefix = [] }: Launch = {},
): Process {
  const command = [...prefix, ...words];
  const [program = '', ...args] = command;
  const ownGroup = prefix.length > 0;
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: ownGroup,
  });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-64_000)));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    pid: child.pid ?? -1,
    child,
    log: () => log,
    ended,
    async stop() {
      child.kill('SIGTERM');
      let forced = false;
      const force = setTimeout(() => {
        forced = true;
        child.kill('SIGKILL');
      }, 15_000);
      await ended;
      clearTimeout(force);
      if (forced) throw new Error(`${command.join(' ')} did not end within 15 s of SIGTERM:\n${log}`);
    },
    async kill() {
      if (child.exitCode === null && child.signalCode === null) {
        if (ownGroup) process.kill(-child.pid!, 'SIGKILL');
        else child.kill('SIGKILL');
      }
      await ended;
    },
  };
}

/** The pages may have to be built first, on a machine that does other things too. */
const READY_MS = 150_000;

/** The first line of JSON that a process prints; rejects when it ends before, or never is ready. */
function readyLine(process: Process): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      clearTimeout(timer);
      reject(new Error(`${why}\n${process.log()}`));
    };
    const timer = setTimeout(() => fail(`not ready within ${READY_MS} ms`), READY_MS);
    process.child.once('close', (code) => fail(`ended with ${code} before it was ready`));
    if (process.child.stdout === null) throw new Error('standard output is not a pipe');
    createInterface({ input: process.child.stdout }).on('line', (line) => {
      if (!line.startsWith('{')) return;
      clearTimeout(timer);
      resolve(JSON.parse(line) as Record<string, unknown>);
    });
  });
}

export class PosternSystem {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'postern-test-'));
  readonly #options: SystemOptions;
  readonly #started: Process[] = [];

  constructor(options: SystemOptions = {}) {
    this.#options = options;
  }

  #env(): Record<string, string> {
    return {
      POSTERN_DATA_DIR: join(this.folder, 'gateway'),
      POSTERN_MODELS_DIR: this.#options.modelsDir ?? MODELS,
      POSTERN_LOG_LEVEL: 'info',
      POSTERN_DRAIN_MS: '5000',
      ...this.#options.env,
    };
  }

  /** Starts a gateway and waits until it is ready. Ports of an earlier one may be given, to take its place. */
  gateway(ports: { httpPort?: number; tunnelPort?: number } = {}, how: Launch = {}): Promise<Gateway> {
    return this.#serve(['gateway', '--json'], ports, how);
  }

  /** The same with `postern up`: gateway and worker in one, ready with its models. */
  up(args: readonly string[] = [], how: Launch = {}): Promise<Gateway> {
    return this.#serve(['up', '--json', ...args], {}, how);
  }

  async #serve(
    args: readonly string[],
    ports: { httpPort?: number; tunnelPort?: number },
    how: Launch,
  ): Promise<Gateway> {
    const words = [...(this.#options.gatewayPrefix ?? []), process.execPath, PROGRAM, ...args];
    const env = {
      ...this.#env(),
      POSTERN_HTTP_HOST: this.#options.httpHost ?? '127.0.0.1',
      POSTERN_HTTP_PORT: String(ports.httpPort ?? 0),
      POSTERN_TUNNEL_HOST: this.#options.tunnelHost ?? '127.0.0.1',
      POSTERN_TUNNEL_PORT: String(ports.tunnelPort ?? 0),
      ...how.env,
    };
    const started = launch(words, env, how);
    this.#started.push(started);
    let ready: Record<string, unknown>;
    try {
      ready = await readyLine(started);
    } catch (error) {
      // One that is only slow would keep the ports.
      await started.kill();
      throw error;
    }
    return {
      ...started,
      url: String(ready.url),
      httpPort: Number(ready.httpPort),
      tunnelPort: Number(ready.tunnelPort),
    };
  }

  /** Makes an identity for a worker that may run every model; the folder is then the worker's. Needs no gateway. */
  issue(name: string): string {
    const folder = join(this.folder, name);
    const program = new URL('issue-worker.ts', import.meta.url).pathname;
    execFileSync(process.execPath, [program, join(this.folder, 'gateway'), name, folder], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    return folder;
  }

  /** Runs a command to its end on one of the two sides, and gives what it printed. */
  command(side: 'gateway' | 'worker', args: readonly string[], env: Readonly<Record<string, string>> = {}): string {
    const prefix = (side === 'gateway' ? this.#options.gatewayPrefix : this.#options.workerPrefix) ?? [];
    const [program = '', ...rest] = [...prefix, process.execPath, PROGRAM, ...args];
    return execFileSync(program, rest, {
      env: { ...process.env, ...this.#env(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    }).toString();
  }

  /** As a user does it: invited there, joined here. The folder is then the worker's. */
  join(gateway: Gateway, name: string, ...models: readonly string[]): string {
    const folder = join(this.folder, name);
    const address = `${this.#options.targetHost ?? '127.0.0.1'}:${gateway.tunnelPort}`;
    const what = models.length === 0 ? ['--all-models'] : ['--models', models.join(',')];
    const { token } = JSON.parse(
      this.command('gateway', ['invite', name, ...what, '--address', address, '--json']),
    ) as { token: string };
    this.command('worker', ['join', token], { POSTERN_IDENTITY_DIR: folder });
    return folder;
  }

  /** Starts a worker. It dials at once; ask the gateway when it has arrived. */
  worker(
    gateway: Pick<Gateway, 'tunnelPort'>,
    identityDir: string,
    env: Readonly<Record<string, string>> = {},
    how: Launch = {},
  ): Process {
    const words = [...(this.#options.workerPrefix ?? []), process.execPath, PROGRAM, 'worker'];
    const own = {
      ...this.#env(),
      POSTERN_DATA_DIR: join(identityDir, 'data'),
      POSTERN_IDENTITY_DIR: identityDir,
      TARGET_HOST: this.#options.targetHost ?? '127.0.0.1',
      TARGET_PORT: String(gateway.tunnelPort),
    };
    const started = launch(words, { ...own, ...env, ...how.env }, how);
    this.#started.push(started);
    return started;
  }

  /** Ends everything that still runs, at once, and removes the folder. */
  async remove(): Promise<void> {
    for (const started of this.#started.reverse()) {
      if (started.child.exitCode === null && started.child.signalCode === null) await started.kill();
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Asks again until `probe` gives something other than null. Rejects after `timeoutMs` with what it was waiting for. */
export async function until<T>(what: string, timeoutMs: number, probe: () => Promise<T | null>): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await probe().catch(() => null);
    if (found !== null) return found;
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Resolves when the model is ready at this gateway. */
export async function untilModel(url: string, name: string, timeoutMs = 30_000): Promise<void> {
  await until(`the model ${name} at ${url}`, timeoutMs, async () => {
    const response = await fetch(`${url}/v1/models/local/${name}`);
    if (!response.ok) return null;
    const model = (await response.json()) as { state?: string };
    return model.state === 'ready' ? true : null;
  });
}
