/**
 * A real HAProxy (Debian's) in front of the gateways: HTTP on 80 with health checks on `/readyz`, and the tunnel port as TCP for
 * workers that know no gateway by name. Its configuration is the one that `docs/scaling.md` shows.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
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

const DOCS = new URL('../../docs/scaling.md', import.meta.url);

/** What the docs show, with the addresses and ports of this run. */
function configuration({ folder, gateways, httpPort, tunnelPort, extra = [] }: BalancerOptions): string {
  const [, shown] = /```haproxy\n(.*?)```/s.exec(readFileSync(DOCS, 'utf8')) ?? [];
  if (shown === undefined) throw new Error(`${DOCS.pathname}: expected a block of haproxy, got none`);
  const servers = (port: number, check: string): string =>
    gateways.map(({ name, address }) => `  server ${name} ${address}:${port} ${check}\n`).join('');
  const replacements: readonly (readonly [RegExp, string])[] = [
    [/^ {2}bind :80\n/m, `  bind :${httpPort}\n${extra.map((line) => `  ${line}\n`).join('')}`],
    [/^ {2}bind :37373\n/m, `  bind :${tunnelPort}\n`],
    [/(^ {2}server \S+ \S+:8080 check\n)+/m, servers(8080, 'check')],
    [/(^ {2}server \S+ \S+:37373 check port 8080\n)+/m, servers(37373, 'check port 8080')],
  ];
  let text = shown;
  for (const [from, to] of replacements) {
    if (!from.test(text)) throw new Error(`${DOCS.pathname}: the block of haproxy lacks ${from}`);
    text = text.replace(from, to);
  }
  return `
global
  maxconn 4000
  nbthread 1
  hard-stop-after 90s
  stats socket ${join(folder, 'haproxy.sock')} mode 600 level admin expose-fd listeners
${text}`;
}

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
