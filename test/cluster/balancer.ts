/**
 * A real HAProxy (Debian's) in front of the gateways: HTTP on 80 with health checks on `/readyz`, and the tunnel port as TCP for
 * workers that know no gateway by name. It is configured as `docs/scaling.md` tells: what was sent to a gateway is never sent to another one,
 * only a connection that could not be made is tried elsewhere.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { needsProgram } from '../support/needs.ts';

export interface BalancerOptions {
  readonly inside: readonly string[];
  readonly folder: string;
  readonly gateways: readonly { readonly name: string; readonly address: string }[];
  readonly httpPort: number;
  readonly tunnelPort: number;
  /** Lines of the HTTP front: for bugs that are planted. */
  readonly extra?: readonly string[];
}

export interface Balancer {
  /** As its own release does it: a new process takes over the sockets, the old one finishes what it has. */
  reload(): void;
  readonly child: ChildProcess;
  stop(): Promise<void>;
}

export const cannotBalance = (): false | string => needsProgram('haproxy');

const configuration = ({ folder, gateways, httpPort, tunnelPort, extra = [] }: BalancerOptions): string => `
global
  maxconn 4000
  nbthread 1
  hard-stop-after 90s
  stats socket ${join(folder, 'haproxy.sock')} mode 600 level admin expose-fd listeners
defaults
  mode http
  timeout connect 1s
  timeout client 90s
  timeout server 90s
  timeout queue 1s
  timeout check 1s
  retries 3
  retry-on conn-failure
  option redispatch 1
  http-error status 503 content-type application/json string '{"title":"No gateway is ready"}' hdr Retry-After 1
frontend http
  bind :${httpPort}
  option forwardfor
${extra.map((line) => `  ${line}\n`).join('')}  default_backend gateways
backend gateways
  balance roundrobin
  option httpchk GET /readyz
  http-check expect status 200
  default-server inter 500ms fastinter 250ms downinter 500ms fall 2 rise 1
${gateways.map(({ name, address }) => `  server ${name} ${address}:8080 check\n`).join('')}
frontend tunnel
  mode tcp
  bind :${tunnelPort}
  default_backend tunnels
backend tunnels
  mode tcp
  balance source
  option httpchk GET /readyz
  http-check expect status 200
  default-server inter 500ms fastinter 250ms downinter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
${gateways.map(({ name, address }) => `  server ${name} ${address}:37373 check port 8080\n`).join('')}
`;

export function startBalancer(options: BalancerOptions): Balancer {
  const file = join(options.folder, 'haproxy.cfg');
  writeFileSync(file, configuration(options));
  const [program = '', ...words] = [...options.inside, 'haproxy', '-W', '-db', '-q', '-f', file];
  const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    child,
    reload: () => void child.kill('SIGUSR2'),
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
