/**
 * Three gateways and four workers, a PostgreSQL and a load balancer, each on a host of its own (`lan.ts`). Owner of their processes:
 * who is alive, who was killed on purpose, who ended by itself. Runs on the callers' host.
 */
import { once } from 'node:events';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { joinLan, type Lan, type LanPlan } from '../support/lan.ts';
import { PosternSystem, until, type Process } from '../support/postern.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';
import { startBalancer, type Balancer } from './balancer.ts';

export const GATEWAYS = ['gw-1', 'gw-2', 'gw-3'] as const;
export const WORKERS = ['gpu-1', 'gpu-2', 'gpu-3', 'gpu-4'] as const;
export const HOSTS = ['callers', 'lb', 'db', ...GATEWAYS, ...WORKERS] as const;
export type GatewayName = (typeof GATEWAYS)[number];
export type WorkerName = (typeof WORKERS)[number];
export type ProcessName = GatewayName | WorkerName;

export const HTTP_PORT = 8080;
export const TUNNEL_PORT = 37373;
export const BALANCER_PORT = 80;
export const WEBHOOK_PORT = 8090;
/** Three gateways take 21; what is left is the superuser's and the hogs'. */
export const MAX_CONNECTIONS = 40;
const DRAIN_MS = 5_000;
/** The drain, and then each wait for a database that may be away. */
const MAX_STOP_MS = 60_000;
/** A start on a machine that does much else. */
const PATIENCE_MS = 120_000;
const CONTROL_MODEL = 'echo';

export interface SiteOptions {
  readonly plan: LanPlan;
  /** Lines of the load balancer's front: for bugs that are planted. */
  readonly balancerExtra?: readonly string[];
}

interface Connected {
  readonly name: string;
  readonly session: string;
  readonly state: string;
}

interface Live {
  readonly process: Process;
  /** It is to end now, one way or the other. */
  isEnding: boolean;
}

export class Site {
  readonly lan: Omit<Lan, 'remove'>;
  readonly postgres: TestPostgres;
  readonly database: string;
  readonly balancer: Balancer;
  readonly apiKey: string;
  readonly folder: string;
  /** What nobody asked for: a process that ended by itself, or did not end when asked. */
  readonly problems: string[] = [];
  readonly #system: PosternSystem;
  readonly #env: Readonly<Record<string, string>>;
  readonly #identities: ReadonlyMap<string, string>;
  readonly #live = new Map<ProcessName, Live>();

  static async open({ plan, balancerExtra = [] }: SiteOptions): Promise<Site> {
    const lan = joinLan(plan);
    const system = new PosternSystem();
    const models = join(system.folder, 'models');
    for (const empty of ['web', 'guides', 'balancer']) mkdirSync(join(system.folder, empty));
    cpSync(new URL('../../models/echo', import.meta.url).pathname, join(models, 'echo'), { recursive: true });
    const postgres = await startPostgres({
      prefix: lan.inside('db'),
      listen: [lan.address('db')],
      settings: { fsync: 'on', max_connections: String(MAX_CONNECTIONS), superuser_reserved_connections: '3' },
    });
    const database = await postgres.createDatabase();
    const env = {
      DATABASE_URL: `postgresql://postgres@${lan.address('db')}:${postgres.port}/${database}`,
      POSTERN_HTTP_HOST: '0.0.0.0',
      POSTERN_HTTP_PORT: String(HTTP_PORT),
      POSTERN_TUNNEL_HOST: '0.0.0.0',
      POSTERN_TUNNEL_PORT: String(TUNNEL_PORT),
      POSTERN_TRUSTED_PROXIES: lan.address('lb'),
      POSTERN_OUTBOUND_ALLOW: `${lan.address('callers')}/32`,
      POSTERN_OUTBOUND_HTTP: '1',
      POSTERN_LOG_LEVEL: 'warn',
      POSTERN_DRAIN_MS: String(DRAIN_MS),
      POSTERN_MODELS_DIR: models,
      POSTERN_GUIDES_DIR: join(system.folder, 'guides'),
      POSTERN_WEB_DIR: join(system.folder, 'web'),
    };
    // The first gateway brings to the empty database what its machine has: the workers, and the key without which it listens to nobody.
    const identities = new Map(WORKERS.map((name) => [name, system.issue(name)]));
    const made = system.command('gateway', ['keys', 'create', 'torture', '--scope', 'predict,read,admin', '--json']);
    const { key } = JSON.parse(made) as { key: string };
    for (const name of GATEWAYS) {
      const [from, to] = [join(system.folder, 'gateway'), join(system.folder, name)];
      if (name === GATEWAYS[0]) cpSync(from, to, { recursive: true });
      else cpSync(join(from, 'identity'), join(to, 'identity'), { recursive: true });
    }
    const balancer = startBalancer({
      inside: lan.inside('lb'),
      folder: join(system.folder, 'balancer'),
      gateways: GATEWAYS.map((name) => ({ name, address: lan.address(name) })),
      httpPort: BALANCER_PORT,
      tunnelPort: TUNNEL_PORT,
      extra: balancerExtra,
    });
    const site = new Site({ lan, system, postgres, database, balancer, env, identities, apiKey: key });
    await site.start(GATEWAYS[0]);
    await Promise.all(GATEWAYS.slice(1).map((name) => site.start(name)));
    await Promise.all(WORKERS.map((name) => site.start(name)));
    return site;
  }

  private constructor(parts: {
    readonly lan: Omit<Lan, 'remove'>;
    readonly system: PosternSystem;
    readonly postgres: TestPostgres;
    readonly database: string;
    readonly balancer: Balancer;
    readonly env: Readonly<Record<string, string>>;
    readonly identities: ReadonlyMap<string, string>;
    readonly apiKey: string;
  }) {
    this.lan = parts.lan;
    this.#system = parts.system;
    this.postgres = parts.postgres;
    this.database = parts.database;
    this.balancer = parts.balancer;
    this.#env = parts.env;
    this.#identities = parts.identities;
    this.apiKey = parts.apiKey;
    this.folder = parts.system.folder;
  }

  get url(): string {
    return `http://${this.lan.address('lb')}:${BALANCER_PORT}`;
  }

  urlOf(gateway: GatewayName): string {
    return `http://${this.lan.address(gateway)}:${HTTP_PORT}`;
  }

  isAlive(name: ProcessName): boolean {
    const live = this.#live.get(name);
    return live !== undefined && !live.isEnding;
  }

  /** Starts a gateway and waits until it listens, or a worker, which dials by itself. */
  async start(name: ProcessName): Promise<void> {
    const prefix = this.lan.inside(name);
    const started = isGateway(name)
      ? await this.#system.gateway({}, { prefix, env: { ...this.#env, ...this.#ownOf(name) } })
      : this.#system.worker({ tunnelPort: TUNNEL_PORT }, this.#identities.get(name)!, this.#dialOf(name), { prefix });
    const live = { process: started, isEnding: false };
    this.#live.set(name, live);
    void started.ended.then(() => {
      if (live.isEnding) return;
      live.isEnding = true;
      const { exitCode, signalCode } = started.child;
      this.problems.push(`${name} ended by itself with ${exitCode ?? signalCode}: ${started.log().slice(-1_500)}`);
    });
  }

  #ownOf(name: GatewayName): Record<string, string> {
    return {
      POSTERN_DATA_DIR: join(this.folder, name),
      POSTERN_TUNNEL_ADDRESS: `${this.lan.address(name)}:${TUNNEL_PORT}`,
    };
  }

  /** Each of three knows one gateway; the fourth comes in through the load balancer. */
  #dialOf(name: WorkerName): Record<string, string> {
    const gateway = GATEWAYS[WORKERS.indexOf(name)];
    const { POSTERN_LOG_LEVEL = '', POSTERN_DRAIN_MS = '', POSTERN_MODELS_DIR = '' } = this.#env;
    return {
      POSTERN_LOG_LEVEL,
      POSTERN_DRAIN_MS,
      POSTERN_MODELS_DIR,
      TARGET_HOST: this.lan.address(gateway ?? 'lb'),
      TARGET_PORT: String(TUNNEL_PORT),
    };
  }

  async kill(name: ProcessName): Promise<void> {
    const live = this.#live.get(name)!;
    live.isEnding = true;
    await live.process.kill();
  }

  /** SIGTERM, as a release does it. */
  async stop(name: ProcessName): Promise<void> {
    const live = this.#live.get(name)!;
    live.isEnding = true;
    const { child, ended } = live.process;
    child.kill('SIGTERM');
    const late = AbortSignal.timeout(MAX_STOP_MS);
    await Promise.race([ended, once(late, 'abort')]);
    if (child.exitCode === null && child.signalCode === null) {
      this.problems.push(
        `${name} did not end within ${MAX_STOP_MS} ms of SIGTERM: ${live.process.log().slice(-1_500)}`,
      );
      await live.process.kill();
      return;
    }
    const { exitCode, signalCode } = child;
    // A worker says nothing when it is up: it may be asked before it listens to signals.
    if (!isGateway(name) && signalCode === 'SIGTERM') return;
    if (exitCode !== 0) this.problems.push(`${name} was asked to end, and ended with ${exitCode}`);
  }

  pid(name: ProcessName): number {
    return this.#live.get(name)!.process.pid;
  }

  log(name: ProcessName): string {
    return this.#live.get(name)?.process.log() ?? '';
  }

  async ask(gateway: GatewayName, path: string): Promise<unknown> {
    const headers = { authorization: `Bearer ${this.apiKey}` };
    const answer = await fetch(`${this.urlOf(gateway)}${path}`, { headers, signal: AbortSignal.timeout(5_000) });
    return answer.ok ? await answer.json() : null;
  }

  /** Which workers are connected to this gateway. */
  async workersAt(gateway: GatewayName): Promise<readonly string[]> {
    return (await this.#connectedTo(gateway)).map(({ name }) => name);
  }

  /** The sessions that workers have with this gateway, as jobs name them. */
  async sessionsAt(gateway: GatewayName): Promise<readonly string[]> {
    return (await this.#connectedTo(gateway)).map(({ session }) => session);
  }

  async #connectedTo(gateway: GatewayName): Promise<readonly Connected[]> {
    const answer = (await this.ask(gateway, '/v1/workers')) as { results: Connected[] } | null;
    return (answer?.results ?? []).filter(({ state }) => state === 'connected');
  }

  /** Everybody is there: all gateways ready, and every worker connected to one of them. */
  async untilWell(): Promise<void> {
    for (const name of GATEWAYS) {
      await until(`${name} to be ready`, PATIENCE_MS, async () =>
        (await fetch(`${this.urlOf(name)}/readyz`, { signal: AbortSignal.timeout(5_000) })).ok ? true : null,
      );
    }
    await until('every worker to be connected', PATIENCE_MS, async () => {
      const connected = (await Promise.all(GATEWAYS.map((name) => this.workersAt(name)))).flat();
      return WORKERS.every((name) => connected.includes(name)) ? true : null;
    });
    for (const name of GATEWAYS) {
      await until(`${name} to know ${CONTROL_MODEL}`, PATIENCE_MS, async () =>
        (await this.ask(name, `/v1/models/local/${CONTROL_MODEL}`)) === null ? null : true,
      );
    }
  }

  async close(): Promise<void> {
    for (const live of this.#live.values()) live.isEnding = true;
    await this.#system.remove();
    await this.balancer.stop();
    await this.postgres.remove();
  }
}

export const isGateway = (name: string): name is GatewayName => (GATEWAYS as readonly string[]).includes(name);
