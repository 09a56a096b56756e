/** A deploy folder with releases and a supervisor as a real process, on ports that the system gave. Removed afterwards. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../support/postern.ts';
import { schemaFormats } from '../../src/gateway/schema-formats.ts';

export const PROGRAM = new URL('../../bin/postern.mjs', import.meta.url).pathname;
const ISSUE = new URL('../support/issue-worker.ts', import.meta.url).pathname;

/** From here on the system takes ports for connections that go out: one that is let go for a moment may be gone. */
const OUTGOING_FROM = Number(/\d+/.exec(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8'))?.[0] ?? 32_768);
const LOWEST = 10_000;

/**
 * Ports that nobody had a moment ago, each with the one after it. A supervisor that is started again must find its own free, and releases
 * behind nginx take turns on two: the load of these tests, thousands of outgoing connections, sits on ports that the system assigns.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = randomInt(LOWEST, OUTGOING_FROM - 1);
    if (ports.some((other) => Math.abs(other - port) < 2)) continue;
    if ((await canListen(port)) && (await canListen(port + 1))) ports.push(port);
  }
  return ports;
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer();
  const isFree = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (isFree) await new Promise((resolve) => server.close(resolve));
  return isFree;
}

export interface CommandResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface SiteOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Where releases lie; a folder of the test by default. */
  readonly deployDir?: string;
}

export class Site {
  readonly folder = mkdtempSync(join(tmpdir(), 'postern-site-'));
  readonly deployDir: string;
  readonly env: Record<string, string>;
  readonly httpPort: number;
  readonly tunnelPort: number;
  readonly #started: ChildProcess[] = [];
  #supervisor: ChildProcess | null = null;
  #log = '';

  private constructor(ports: readonly number[], options: SiteOptions) {
    const [http = 0, tunnel = 0] = ports;
    this.deployDir = options.deployDir ?? join(this.folder, 'deploy');
    this.httpPort = http;
    this.tunnelPort = tunnel;
    this.env = {
      POSTERN_DEPLOY_DIR: this.deployDir,
      POSTERN_DATA_DIR: join(this.folder, 'gateway'),
      POSTERN_MODELS_DIR: new URL('../../models', import.meta.url).pathname,
      POSTERN_GUIDES_DIR: join(this.folder, 'no-guides'),
      POSTERN_HTTP_PORT: String(http),
      POSTERN_TUNNEL_HOST: '127.0.0.1',
      POSTERN_TUNNEL_PORT: String(tunnel),
      POSTERN_DRAIN_MS: '8000',
      POSTERN_LOG_LEVEL: 'info',
      ...options.env,
    };
  }

  static async make(options: SiteOptions = {}): Promise<Site> {
    return new Site(await freePorts(2), options);
  }

  get url(): string {
    return `http://127.0.0.1:${this.httpPort}`;
  }

  /** Where callers reach a gateway without TLS: nginx's own port for checks does not lead there. */
  get serviceUrl(): string {
    return this.url;
  }

  get log(): string {
    return this.#log;
  }

  get supervisorPid(): number {
    return this.#supervisor?.pid ?? -1;
  }

  /** A release that is this working tree, or whatever `command` says. `digit` is one of 0-9a-f. */
  release(digit: string, { command, schema }: { command?: readonly string[]; schema?: object } = {}): string {
    const id = digit.repeat(16);
    const folder = join(this.deployDir, 'releases', id);
    mkdirSync(folder, { recursive: true });
    const manifest = {
      format: 1,
      id,
      version: `0.0.${Number.parseInt(digit, 16)}`,
      command: command ?? [process.execPath, PROGRAM],
      hand_over: 1,
      schema: schema ?? schemaFormats(),
    };
    writeFileSync(join(folder, 'release.json'), JSON.stringify(manifest));
    return id;
  }

  /** Starts the supervisor and waits until its sockets are bound. */
  async supervise(): Promise<void> {
    mkdirSync(this.deployDir, { recursive: true });
    const child = spawn(process.execPath, [PROGRAM, 'supervise', '--json'], {
      cwd: this.folder,
      env: { ...process.env, ...this.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#started.push(child);
    this.#supervisor = child;
    child.stderr.on('data', (chunk: Buffer) => (this.#log = (this.#log + chunk.toString()).slice(-64_000)));
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve());
      child.once('close', (code) => reject(new Error(`the supervisor ended with ${code}\n${this.#log}`)));
    });
  }

  async endSupervisor(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#supervisor;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const closed = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await closed;
  }

  /** Runs a command to its end, whatever its exit code. */
  run(...args: readonly string[]): Promise<CommandResult> {
    return new Promise((resolve) => {
      const options = { cwd: this.folder, env: { ...process.env, ...this.env }, maxBuffer: 16 * 1024 * 1024 };
      execFile(process.execPath, [PROGRAM, ...args], options, (error, out, err) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, err });
      });
    });
  }

  /** The last line of JSON that a command printed; throws with what it said when it failed. */
  async ask(...args: readonly string[]): Promise<Record<string, unknown>> {
    const { code, out, err } = await this.run(...args, '--json');
    if (code !== 0) throw new Error(`postern ${args.join(' ')}: exit code ${code}\n${err}\n${this.#log.slice(-4_000)}`);
    return JSON.parse(out.trim().split('\n').at(-1) ?? '') as Record<string, unknown>;
  }

  async status(): Promise<SupervisorStatus> {
    return (await this.ask('releases')).status as SupervisorStatus;
  }

  /** Which release and instance answers, as `<release>/<instance>`; null: nobody. */
  async serving(): Promise<string | null> {
    const answer = await fetch(`${this.url}/readyz`, { headers: { connection: 'close' } }).catch(() => null);
    return answer?.ok === true ? answer.headers.get('x-release') : null;
  }

  /** A worker with every model of the repository, connected when this resolves. */
  async worker(name: string, models = new URL('../../models', import.meta.url).pathname): Promise<ChildProcess> {
    const identity = join(this.folder, name);
    const env = { ...process.env, ...this.env };
    await new Promise<void>((resolve, reject) => {
      execFile(process.execPath, [ISSUE, join(this.folder, 'gateway'), name, identity], { env }, (error) =>
        error === null ? resolve() : reject(new Error(error.message)),
      );
    });
    const child = spawn(process.execPath, [PROGRAM, 'worker'], {
      cwd: this.folder,
      env: {
        ...env,
        POSTERN_DATA_DIR: join(identity, 'data'),
        POSTERN_IDENTITY_DIR: identity,
        POSTERN_MODELS_DIR: models,
        TARGET_HOST: '127.0.0.1',
        TARGET_PORT: String(this.tunnelPort),
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#started.push(child);
    let log = '';
    child.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-8_000)));
    await until(`the worker ${name}`, 60_000, async () => {
      const answer = await fetch(`${this.url}/v1/workers`);
      const { results = [] } = (await answer.json()) as { results?: { name: string; state: string }[] };
      return results.some((worker) => worker.name === name && worker.state === 'connected') ? true : null;
    }).catch((error: unknown) => {
      throw new Error(`${(error as Error).message}\n${log}`);
    });
    return child;
  }

  /** What instances of a release printed. */
  instanceLog(id: string): string {
    return readFileSync(join(this.deployDir, 'logs', `${id}.log`), 'utf8');
  }

  /** Ends everything that still runs, at once. */
  async end(): Promise<void> {
    const pids = await this.status()
      .then(({ instances }) => instances.map(({ pid }) => pid))
      // Nobody is there to say.
      .catch(() => []);
    for (const child of this.#started.reverse()) child.kill('SIGKILL');
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It is gone.
      }
    }
  }

  async remove(): Promise<void> {
    await this.end();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface SupervisorStatus {
  readonly pid: number;
  readonly current: string | null;
  readonly previous: string | null;
  readonly active: string | null;
  readonly warm: string | null;
  readonly releases: Readonly<Record<string, { readonly health: string; readonly reason: string | null }>>;
  readonly instances: readonly {
    readonly instance: string;
    readonly release: string;
    readonly pid: number;
    readonly phase: string;
    readonly connections: number | null;
  }[];
}
