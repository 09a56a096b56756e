/**
 * A real PostgreSQL (Debian's) for tests: a cluster of its own in a temporary folder, on a Unix socket there and on a port of
 * loopback. PostgreSQL refuses root, so that root starts it as the user `postgres`, whom Debian's package makes.
 *
 * `testPostgres()` starts one per test process, at the first call; tests share it and take a database each (`createDatabase`).
 * A test that stops it or changes its settings starts its own with `startPostgres`. A shell waits on a pipe from this process and
 * removes everything when that closes, however this process ended.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync } from 'node:fs';
import { appendFile, readFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { lacking } from './needs.ts';

export interface PostgresOptions {
  /** Beside loopback; for tests whose gateways live in network namespaces. */
  readonly listen?: readonly string[];
  /** Words before each of its programs, such as `ip netns exec db`: it then listens there. They run as this user. */
  readonly prefix?: readonly string[];
  /** Lines of postgresql.conf, which win over those below. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface TestPostgres {
  readonly folder: string;
  /** Of loopback. The socket's file has it in its name too. */
  readonly port: number;
  /** Of a database, by the Unix socket. */
  urlOf(database: string): string;
  /** The same by TCP: for proxies. */
  tcpUrlOf(database: string, port?: number): string;
  /** A new empty database; its name. */
  createDatabase(): Promise<string>;
  /** One statement as the superuser; the rows. */
  query(sql: string, database?: string): Promise<Record<string, unknown>[]>;
  start(): Promise<void>;
  /** `fast`: sessions are ended and the log is written. `immediate`: as after kill -9; what was not flushed is recovered or lost. */
  stop(mode: 'fast' | 'immediate'): Promise<void>;
  /** For good. */
  remove(): Promise<void>;
}

const SUPERUSER = 'postgres';
const LOOPBACK = '127.0.0.1';
/** Between finding a free port and listening on it another process may take it. */
const MAX_STARTS = 5;
/** No test needs to survive a power cut of this machine: those that measure flushes set `fsync` themselves. */
const SETTINGS: Readonly<Record<string, string>> = {
  fsync: 'off',
  full_page_writes: 'off',
  shared_buffers: '32MB',
  max_connections: '100',
  max_wal_size: '256MB',
  log_checkpoints: 'off',
};

const run = promisify(execFile);

function programs(): string | null {
  const debian = '/usr/lib/postgresql';
  const newest = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...newest.map((version) => join(debian, version, 'bin')),
    ...(process.env.PATH ?? '').split(delimiter),
  ];
  return folders.find((folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'pg_ctl'))) ?? null;
}

interface User {
  readonly uid?: number;
  readonly gid?: number;
}

/** Who runs it: this user, or the one of Debian's package where this one is root; null where there is no such user. */
function user(): User | null {
  if (process.getuid?.() !== 0) return {};
  try {
    const id = (flag: string): number =>
      Number(execFileSync('id', [flag, SUPERUSER], { stdio: ['ignore', 'pipe', 'ignore'] }));
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    return null;
  }
}

/** Why this machine cannot run it, or false. */
export function cannotRunPostgres(): false | string {
  if (programs() === null) return lacking('PostgreSQL is not installed');
  return user() === null ? lacking(`root may not run PostgreSQL, and there is no user ${SUPERUSER}`) : false;
}

let shared: Promise<TestPostgres> | undefined;

/** The one that all tests of this process share. */
export function testPostgres(): Promise<TestPostgres> {
  return (shared ??= startPostgres());
}

export async function startPostgres(options: PostgresOptions = {}): Promise<TestPostgres> {
  const bin = programs();
  const runsAs = user();
  if (bin === null || runsAs === null) throw new Error('PostgreSQL cannot run here: ask cannotRunPostgres() first');
  // Short, because the path of a Unix socket has at most 107 bytes.
  const folder = mkdtempSync(join(tmpdir(), 'postern-pg-'));
  if (runsAs.uid !== undefined) chownSync(folder, runsAs.uid, runsAs.gid ?? 0);
  const data = join(folder, 'data');
  const inFolder = { ...runsAs, cwd: folder };
  const stopWatch = removeWhenGone(bin, folder, runsAs);
  const initdb = ['-D', data, '-U', SUPERUSER, '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync'];
  await run(join(bin, 'initdb'), initdb, inFolder);
  let port = 0;

  /** A namespace is entered as root, and root left behind there. */
  function started(program: string, args: readonly string[]): readonly [string, readonly string[], User] {
    const [first, ...prefix] = options.prefix ?? [];
    if (first === undefined) return [program, args, runsAs!];
    const asUser = ['setpriv', `--reuid=${runsAs!.uid}`, `--regid=${runsAs!.gid}`, '--clear-groups'];
    return [first, [...prefix, ...(runsAs!.uid === undefined ? [] : asUser), program, ...args], {}];
  }

  const control = async (...args: readonly string[]): Promise<void> => {
    // Not to a pipe: the server keeps what it is given, and the pipe would never end.
    const [program, words, as] = started(join(bin, 'pg_ctl'), ['-s', '-w', '-t', '120', '-D', data, ...args]);
    const child = spawn(program, words, { ...as, cwd: folder, stdio: 'ignore' });
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code === 0) return;
    const log = await readFile(join(folder, 'log'), 'utf8').catch(() => '(no log)');
    throw new Error(`pg_ctl ${args.join(' ')} exited with ${code}:\n${log.slice(-2_000)}`);
  };
  const start = (): Promise<void> => control('-l', join(folder, 'log'), 'start');
  const urlOf = (database: string): string =>
    `postgresql://${SUPERUSER}@/${database}?host=${encodeURIComponent(folder)}&port=${port}`;

  const fixed = {
    ...SETTINGS,
    unix_socket_directories: `'${folder}'`,
    listen_addresses: `'${[LOOPBACK, ...(options.listen ?? [])].join(',')}'`,
    ...options.settings,
  };
  const lines = Object.entries(fixed).map(([name, value]) => `${name} = ${value}`);
  await appendFile(join(data, 'postgresql.conf'), `\n${lines.join('\n')}\n`);
  await appendFile(join(data, 'pg_hba.conf'), '\nhost all all 0.0.0.0/0 trust\n');
  for (let tries = 1; ; tries += 1) {
    port = await freePort();
    await appendFile(join(data, 'postgresql.conf'), `port = ${port}\n`);
    try {
      await start();
      break;
    } catch (error) {
      if (tries === MAX_STARTS) throw error;
    }
  }

  let databases = 0;
  const query = async (sql: string, database = 'postgres'): Promise<Record<string, unknown>[]> => {
    const client = new Client({ connectionString: urlOf(database) });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.end();
    }
  };

  return {
    folder,
    port,
    urlOf,
    tcpUrlOf: (database, through = port) => `postgresql://${SUPERUSER}@${LOOPBACK}:${through}/${database}`,
    async createDatabase() {
      const name = `test_${(databases += 1)}`;
      await query(`CREATE DATABASE ${name}`);
      return name;
    },
    query,
    start,
    stop: (mode) => control('-m', mode, 'stop'),
    remove: stopWatch,
  };
}

/** Stops and removes everything in `folder` when called, and when this process is gone. */
function removeWhenGone(bin: string, folder: string, runsAs: User): () => Promise<void> {
  const script = 'cat; "$1/pg_ctl" -s -w -m immediate -D "$2/data" stop; cd /; rm -rf "$2"';
  const stdio: ['pipe', 'ignore', 'ignore'] = ['pipe', 'ignore', 'ignore'];
  // In a group of its own, or the Ctrl-C that ends this process would end it first.
  const child = spawn('sh', ['-c', script, 'sh', bin, folder], { ...runsAs, cwd: folder, detached: true, stdio });
  child.unref();
  (child.stdin as unknown as Socket).unref();
  return async () => {
    if (child.exitCode !== null) return;
    child.ref();
    const ended = once(child, 'exit');
    child.stdin.end();
    await ended;
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, LOOPBACK);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
