/**
 * The glue that Postern replaces, with its usual parts: nginx in front, a reverse tunnel made by `ssh -R` from the private
 * side, and uvicorn with a FastAPI no-op behind it. Everything on loopback, on ports given by the system, unprivileged keys
 * made for the run. Needs Debian's nginx and openssh-server, and `pip install fastapi 'uvicorn[standard]'`.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

export interface Glue {
  /** Through nginx and the tunnel. */
  readonly url: string;
  /** uvicorn alone. */
  readonly directUrl: string;
  stop(): void;
}

/** A port that was free a moment ago: these programs cannot report one that they chose themselves. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}

async function answers(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      }).on('error', () => resolve(false));
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`nothing listens on port ${port} after 10 s`);
}

export async function startGlue(): Promise<Glue> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-glue-'));
  const children: ChildProcess[] = [];
  const run = (program: string, ...args: string[]): void => {
    const child = spawn(program, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-2_000)));
    child.on('close', (code) => {
      if (code !== 0 && code !== null && code !== 255) console.error(`${program} ended with ${code}: ${errors}`);
    });
    children.push(child);
  };
  const stop = (): void => {
    for (const child of children.reverse()) child.kill('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const [app, sshd, tunnel, front] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const peers = new URL('../peers/', import.meta.url).pathname;
    run(
      'python3',
      '-m',
      'uvicorn',
      '--app-dir',
      peers,
      'fastapi_noop:app',
      '--port',
      `${app}`,
      '--log-level',
      'error',
      '--no-access-log',
    );

    for (const key of ['host', 'user'])
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, key)]);
    writeFileSync(join(folder, 'authorized_keys'), execFileSync('cat', [join(folder, 'user.pub')]), { mode: 0o600 });
    // sshd insists on its separation folder when it runs as root.
    if (!existsSync('/run/sshd') && userInfo().uid === 0) mkdirSync('/run/sshd', { mode: 0o755 });
    writeFileSync(
      join(folder, 'sshd_config'),
      [
        `Port ${sshd}`,
        'ListenAddress 127.0.0.1',
        `HostKey ${folder}/host`,
        `AuthorizedKeysFile ${folder}/authorized_keys`,
        `PidFile ${folder}/sshd.pid`,
        'StrictModes no',
        'UsePAM no',
        'PasswordAuthentication no',
      ].join('\n'),
    );
    run('/usr/sbin/sshd', '-D', '-e', '-f', join(folder, 'sshd_config'));
    await answers(sshd);
    await answers(app);
    const options = [
      '-o',
      'StrictHostKeyChecking=no',
      '-o',
      'UserKnownHostsFile=/dev/null',
      '-o',
      'ExitOnForwardFailure=yes',
    ];
    run(
      'ssh',
      '-N',
      '-F',
      'none',
      ...options,
      '-i',
      join(folder, 'user'),
      '-p',
      `${sshd}`,
      '-R',
      `127.0.0.1:${tunnel}:127.0.0.1:${app}`,
      `${userInfo().username}@127.0.0.1`,
    );
    await answers(tunnel);

    writeFileSync(
      join(folder, 'nginx.conf'),
      `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  upstream app { server 127.0.0.1:${tunnel}; keepalive 64; }
  server {
    listen 127.0.0.1:${front};
    keepalive_requests 1000000;
    client_max_body_size 20m;
    location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`,
    );
    run(existsSync('/usr/sbin/nginx') ? '/usr/sbin/nginx' : 'nginx', '-c', join(folder, 'nginx.conf'), '-p', folder);
    await answers(front);
    return { url: `http://127.0.0.1:${front}/predict`, directUrl: `http://127.0.0.1:${app}/predict`, stop };
  } catch (error) {
    stop();
    throw error;
  }
}
