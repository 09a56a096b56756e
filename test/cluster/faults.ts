/** What happens to the cluster: each fault takes a part of it, does something to it, and puts it right again. */
import { Client } from 'pg';
import type { Random } from '../support/random.ts';
import type { Blockade } from '../support/lan.ts';
import { GATEWAYS, MAX_CONNECTIONS, WORKERS, type GatewayName, type ProcessName, type Site } from './site.ts';

export interface Fault {
  readonly name: string;
  /** What nothing else may touch meanwhile. */
  readonly part: ProcessName | 'database' | 'balancer';
  readonly holdMs: number;
  /** Resolves to what puts it right. */
  begin(): Promise<() => Promise<void>>;
}

/** Starts may fail while the database is away; whoever runs a gateway starts it again. */
const MAX_STARTS = 20;
/** Beyond a lease (18 s), so that its jobs have moved when it goes on. */
const LONG_MS = 21_000;

export async function startAgain(site: Site, name: ProcessName): Promise<void> {
  for (let starts = 1; ; starts += 1) {
    try {
      await site.start(name);
      return;
    } catch (error) {
      if (starts === MAX_STARTS) throw error;
    }
  }
}

export const terminateBackends = async (site: Site): Promise<void> => {
  const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${site.database}' AND pid <> pg_backend_pid()`;
  await site.postgres.query(sql);
};

async function takeConnections(site: Site): Promise<() => Promise<void>> {
  const hogs = Array.from({ length: MAX_CONNECTIONS }, () => {
    const hog = new Client({ connectionString: site.postgres.urlOf('postgres') });
    hog.on('error', () => undefined);
    return hog;
  });
  await terminateBackends(site);
  await Promise.allSettled(hogs.map((hog) => hog.connect()));
  return async () => {
    await Promise.allSettled(hogs.map((hog) => hog.end()));
  };
}

const frozen = (site: Site, name: ProcessName) => (): Promise<() => Promise<void>> => {
  const pid = site.pid(name);
  process.kill(pid, 'SIGSTOP');
  return Promise.resolve(() => Promise.resolve(void process.kill(pid, 'SIGCONT')));
};

const killed = (site: Site, name: ProcessName) => async (): Promise<() => Promise<void>> => {
  await site.kill(name);
  return () => startAgain(site, name);
};

const stopped = (site: Site, name: ProcessName) => async (): Promise<() => Promise<void>> => {
  await site.stop(name);
  return () => startAgain(site, name);
};

const unplugged = (site: Site, name: ProcessName) => async (): Promise<() => Promise<void>> => {
  await site.lan.unplug(name);
  return () => site.lan.plugIn(name);
};

const blocked = (site: Site, name: ProcessName, peers: readonly string[], how: Blockade) => async () => {
  for (const peer of peers) await site.lan.block(name, peer, how);
  return async (): Promise<void> => {
    for (const peer of peers) await site.lan.unblock(name, peer);
  };
};

/** How a gateway may die or be gone. */
export const DEATHS = {
  'gateway killed': killed,
  'gateway unplugged': unplugged,
  'gateway drained': stopped,
} as const satisfies Record<string, (site: Site, name: GatewayName) => () => Promise<() => Promise<void>>>;

/** What is measured alone: those, and a gateway that lives and can keep nothing. */
export const LOSSES = {
  ...DEATHS,
  'gateway cut from the database': (site: Site, name: GatewayName) => blocked(site, name, ['db'], 'silence'),
} as const;

/** One of all that can happen, to one of those parts that are free. */
export function drawFault(site: Site, random: Random, isFree: (part: Fault['part']) => boolean): Fault | null {
  const gateways = GATEWAYS.filter(isFree);
  const workers = WORKERS.filter(isFree);
  const brief = (): number => random.pick([300, 1_500, 5_000]);
  const long = (): number => random.pick([1_500, 6_000, LONG_MS]);
  const how = (): Blockade => random.pick(['silence', 'silence', 'deaf', 'mute', 'reset']);
  const faults: Fault[] = [];
  const may = (name: string, part: Fault['part'], holdMs: number, begin: Fault['begin']): void =>
    void faults.push({ name, part, holdMs, begin });

  // One gateway of the three is left alone.
  if (gateways.length > 1) {
    const name = random.pick(gateways);
    for (const [what, death] of Object.entries(DEATHS)) may(what, name, brief(), death(site, name));
    may('gateway killed', name, brief(), killed(site, name));
    may('gateway frozen', name, long(), frozen(site, name));
    may('gateway cut from the database', name, long(), blocked(site, name, ['db'], how()));
  }
  if (workers.length > 1) {
    const name = random.pick(workers);
    may('worker killed', name, brief(), killed(site, name));
    may('worker drained', name, brief(), stopped(site, name));
    may('worker frozen', name, long(), frozen(site, name));
    may('worker unplugged', name, long(), unplugged(site, name));
    const peers = [...GATEWAYS, 'lb'].filter(() => random.chance(0.6));
    may('worker cut from gateways', name, long(), blocked(site, name, peers, how()));
  }
  if (isFree('database')) {
    may('database restarted', 'database', random.pick([100, 2_000]), async () => {
      await site.postgres.stop('immediate');
      return () => site.postgres.start();
    });
    may('backends terminated', 'database', 0, async () => {
      await terminateBackends(site);
      return () => Promise.resolve();
    });
    may('connections exhausted', 'database', random.pick([1_000, 4_000]), () => takeConnections(site));
  }
  if (isFree('balancer')) {
    may('balancer reloaded', 'balancer', 500, () => {
      site.balancer.reload();
      return Promise.resolve(() => Promise.resolve());
    });
  }
  return faults.length === 0 ? null : random.pick(faults);
}
