/** A real PgBouncer before the PostgreSQL of the tests, which gives every transaction whichever connection is free. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { needsProgram } from './needs.ts';
import type { TestPostgres } from './postgres.ts';

export const cannotRunPgbouncer = (): false | string => needsProgram('pgbouncer');

const USER = 'postgres';

/** Its port. It has `poolSize` connections for all of its clients. */
export async function startPgbouncer(t: TestContext, postgres: TestPostgres, poolSize: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-pgbouncer-'));
  const id = (flag: string): number => Number(execFileSync('id', [flag, USER]));
  const runsAs = process.getuid?.() === 0 ? { uid: id('-u'), gid: id('-g') } : { uid: undefined, gid: undefined };
  if (runsAs.uid !== undefined) chownSync(folder, runsAs.uid, runsAs.gid);
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as AddressInfo;
  free.close();
  const lines = [
    '[databases]',
    `* = host=127.0.0.1 port=${postgres.port} user=${USER}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    'pool_mode = transaction',
    `default_pool_size = ${poolSize}`,
    'max_client_conn = 200',
  ];
  writeFileSync(join(folder, 'pgbouncer.ini'), `${lines.join('\n')}\n`);
  const child = spawn('pgbouncer', ['-q', join(folder, 'pgbouncer.ini')], {
    ...runsAs,
    stdio: 'ignore',
    env: { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin` },
  });
  t.after(async () => {
    const ended = child.exitCode === null ? once(child, 'exit') : Promise.resolve();
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  });
  while (!(await answers(port)))
    if (child.exitCode !== null) throw new Error(`pgbouncer exited with ${child.exitCode}`);
  return port;
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const tell = (is: boolean) => () => {
      socket.destroy();
      setTimeout(resolve, is ? 0 : 20, is);
    };
    socket.once('connect', tell(true));
    socket.once('error', tell(false));
  });
