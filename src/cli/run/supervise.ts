/** Binds the sockets, and runs the supervisor until somebody asks it to end. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { basename, dirname, join, resolve } from 'node:path';
import { systemClock } from '../../clock.ts';
import { bindSocket } from '../../deploy/bound-socket.ts';
import { createSocketFront, type Front } from '../../deploy/front.ts';
import { createNginxFront } from '../../deploy/front-nginx.ts';
import { layoutOf, type Layout } from '../../deploy/layout.ts';
import { RELEASE_ID } from '../../deploy/manifest.ts';
import { nginxConfiguration } from '../../deploy/nginx-config.ts';
import { createSupervisor } from '../../deploy/supervisor.ts';
import { unitText } from '../../deploy/systemd/unit.ts';
import { PosternError } from '../../errors.ts';
import type { Config } from '../config.ts';
import { childEnvironment, isSet, loadConfig } from '../env.ts';
import { untilAskedToEnd, writeReadyFile } from '../lifetime.ts';
import { createLogger } from '../logging.ts';
import { checkUserName } from '../make-release.ts';

export interface SuperviseFlags {
  /** true: without a name. */
  readonly printUnit?: string | true;
  readonly readyFile?: string;
  readonly json?: boolean;
  readonly nginxConfig?: string;
  readonly certificate?: string;
  readonly certificateKey?: string;
}

export async function supervise(flags: SuperviseFlags): Promise<void> {
  const config = loadConfig();
  const layout = layoutOf(config.deployDir);
  if (flags.nginxConfig !== undefined) {
    process.stdout.write(await nginxConfigurationOf(config, layout, flags.nginxConfig, flags));
    return;
  }
  if (flags.printUnit !== undefined) {
    const user = checkUserName(flags.printUnit === true ? 'postern' : flags.printUnit);
    process.stdout.write(unitText({ type: 'gateway', dir: layout.root, work: process.cwd(), user }));
    return;
  }
  if (config.store === 'memory') {
    throw new PosternError(
      'config_invalid',
      'POSTERN_STORE=memory loses every job in a switch: releases need POSTERN_STORE=sqlite, the default',
    );
  }
  const logger = createLogger(config.logLevel ?? 'info');
  const ending = untilAskedToEnd();
  const front = await frontOf(config, layout);
  const tunnel = await bindSocket(config.tunnelHost ?? '0.0.0.0', config.tunnelPort);
  const supervisor = createSupervisor({
    layout,
    front,
    tunnel,
    environment: (folder) =>
      childEnvironment({
        ...(isSet('POSTERN_GUIDES_DIR') ? {} : { POSTERN_GUIDES_DIR: join(folder, 'guides') }),
        ...(isSet('POSTERN_WEB_DIR') ? {} : { POSTERN_WEB_DIR: join(folder, 'web/dist') }),
      }),
    drainMs: config.drainMs,
    soakMs: config.soakMs,
    ownRelease: ownRelease(),
    clock: systemClock,
    logger,
  });
  await supervisor.start();
  const ready = { url: front.url, tunnelHost: tunnel.host, tunnelPort: tunnel.port, pid: process.pid };
  if (flags.readyFile !== undefined) writeReadyFile(flags.readyFile, ready);
  process.stdout.write(
    flags.json === true
      ? `${JSON.stringify(ready)}\n`
      : `The supervisor of ${layout.root} holds ${front.url} and ${tunnel.host}:${tunnel.port}.\n`,
  );
  const reason = await Promise.race([ending, supervisor.asked.then(() => 'asked by the control socket')]);
  logger.info('supervisor stops', { reason });
  await supervisor.stop();
}

async function nginxConfigurationOf(
  config: Config,
  layout: Layout,
  serverName: string,
  flags: SuperviseFlags,
): Promise<string> {
  if (!/^[a-z0-9.*_-]{1,253}$/i.test(serverName)) {
    throw new PosternError('config_invalid', `--nginx-config takes a host name, not "${serverName.slice(0, 60)}"`);
  }
  const { bodyLimitBytes, front, httpPort } = config;
  const folder = `/etc/letsencrypt/live/${serverName}`;
  return nginxConfiguration({
    serverName,
    bodyLimitBytes,
    certificate: flags.certificate ?? `${folder}/fullchain.pem`,
    certificateKey: flags.certificateKey ?? `${folder}/privkey.pem`,
    target: front === 'nginx' ? { include: includeOf(layout), checkPort: httpPort + 2 } : { port: httpPort },
    version: await nginxVersion(),
  });
}

/** Of the nginx of this machine; null: there is none. */
async function nginxVersion(): Promise<string | null> {
  try {
    const { stderr } = await promisify(execFile)('nginx', ['-v'], { timeout: 5_000 });
    return /nginx\/(\d+\.\d+\.\d+)/.exec(stderr)?.[1] ?? null;
  } catch {
    return null;
  }
}

const includeOf = (layout: Layout): string => join(layout.nginx, 'service-url.inc');

async function frontOf(config: Config, layout: Layout): Promise<Front> {
  if (config.front === 'sockets') return createSocketFront(await bindSocket(config.httpHost, config.httpPort));
  return createNginxFront({
    ports: [config.httpPort, config.httpPort + 1],
    include: includeOf(layout),
    reload: config.nginxReload === 'none' ? null : config.nginxReload,
    url: config.frontUrl ?? `http://127.0.0.1:${config.httpPort + 2}`,
  });
}

/** `releases/<id>` when this program lies in one. */
function ownRelease(): string | null {
  const folder = resolve(import.meta.dirname, '../../..');
  return RELEASE_ID.test(basename(folder)) && basename(dirname(folder)) === 'releases' ? basename(folder) : null;
}
