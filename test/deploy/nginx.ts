/** A real nginx with the generated configuration and TLS, in front of a site: its own process, files and ports. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nginxConfiguration } from '../../src/deploy/nginx-config.ts';
import { until } from '../support/postern.ts';
import { freePorts, type Site } from './site.ts';

export interface NginxFront {
  readonly url: string;
  readonly version: string;
  stop(): Promise<void>;
}

/** Of Debian, where it is not in everybody's path. */
const NGINX = '/usr/sbin/nginx';

/** Sets the site up for `POSTERN_FRONT=nginx` or, with `fixed`, for a supervisor's socket behind it. */
export async function startNginx(site: Site, { fixed }: { readonly fixed: boolean }): Promise<NginxFront> {
  const folder = join(site.folder, 'nginx');
  mkdirSync(folder, { recursive: true });
  const [https = 0, http = 0, check = 0] = await freePorts(3);
  const [certificate, certificateKey] = [join(folder, 'chain.pem'), join(folder, 'key.pem')];
  const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', certificateKey];
  execFileSync('openssl', ['req', '-x509', ...key, '-out', certificate, '-days', '2', ...name], { stdio: 'ignore' });
  const version = /nginx\/([\d.]+)/.exec(execFileSync('sh', ['-c', `${NGINX} -v 2>&1`]).toString())?.[1] ?? '';
  const include = join(site.deployDir, 'nginx', 'service-url.inc');
  if (!fixed) {
    mkdirSync(join(site.deployDir, 'nginx'), { recursive: true });
    writeFileSync(include, `set $service_url http://127.0.0.1:${site.httpPort};\n`);
  }
  const generated = nginxConfiguration({
    serverName: 'localhost',
    certificate,
    certificateKey,
    bodyLimitBytes: 20 * 1024 * 1024,
    target: fixed ? { port: site.httpPort } : { include, checkPort: check },
    version,
    ports: { https, http },
  });
  const file = join(folder, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const paths = temporary.map((kind) => `  ${kind}_temp_path ${join(folder, kind)};`).join('\n');
  writeFileSync(
    file,
    `user root;\ndaemon off;\npid ${join(folder, 'nginx.pid')};\nerror_log ${join(folder, 'error.log')} warn;\nworker_processes 2;\nevents { worker_connections 1024; }\nhttp {\n  access_log off;\n${paths}\n${generated}\n}\n`,
  );
  const words = ['-p', folder, '-c', file, '-e', join(folder, 'error.log')];
  execFileSync(NGINX, ['-t', '-q', ...words], { stdio: ['ignore', 'ignore', 'inherit'] });
  site.env.POSTERN_TRUSTED_PROXIES = '127.0.0.1';
  if (!fixed) {
    site.env.POSTERN_FRONT = 'nginx';
    site.env.POSTERN_FRONT_URL = `http://127.0.0.1:${check}`;
    site.env.POSTERN_NGINX_RELOAD = [NGINX, ...words, '-s', 'reload'].join(' ');
  }
  const child = spawn(NGINX, words, { stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = `https://localhost:${https}`;
  await until('nginx', 20_000, () => fetch(`http://127.0.0.1:${http}/`, { redirect: 'manual' }).then(() => true));
  return {
    url,
    version,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

export const nginxFront = (site: Site): Promise<NginxFront> => startNginx(site, { fixed: false });
