/**
 * Machines on one network: a network namespace for each, and one more with the bridge that joins them. None of them sees the network of
 * this machine, nor it them. A host can be unplugged, and what two hosts say to each other can be lost, one way or both, or be refused.
 * Needs root, `ip` and `nft`.
 *
 * A shell waits on a pipe from this process; when that closes, however this process ended, it kills whatever still runs in these
 * namespaces and removes them.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { promisify } from 'node:util';

/** How a way between two hosts fails, as the host sees it at which it is blocked. */
export type Blockade =
  /** Neither hears anything more of the other, not even an end: half-open. */
  | 'silence'
  /** What the other says is lost. */
  | 'deaf'
  /** What it says itself is lost. */
  | 'mute'
  /** Whatever it sends there is answered by a reset. */
  | 'reset';

export interface Lan {
  readonly names: readonly string[];
  address(host: string): string;
  /** Words before a command that is to run there. */
  inside(host: string): readonly string[];
  unplug(host: string): Promise<void>;
  plugIn(host: string): Promise<void>;
  block(host: string, peer: string, how: Blockade): Promise<void>;
  /** Everything between the two passes again. */
  unblock(host: string, peer: string): Promise<void>;
  remove(): Promise<void>;
}

/** What another process must know to use one that this process made. */
export interface LanPlan {
  readonly tag: string;
  readonly hosts: readonly string[];
}

const run = promisify(execFile);
/** Reserved for documentation (RFC 5737): no real network can be shadowed by it. */
const NETWORK = '198.51.100';
const SETS = { heard: 'deaf', said: 'mute', refused: 'reset' } as const;

const RULES = `
table inet faults {
  set heard { type ipv4_addr; }
  set said { type ipv4_addr; }
  set refused { type ipv4_addr; }
  chain in { type filter hook input priority 0; policy accept; ip saddr @heard drop; }
  chain out {
    type filter hook output priority 0; policy accept;
    ip daddr @said drop
    meta l4proto tcp ip daddr @refused reject with tcp reset
  }
}
`;

/** The one that `makeLan` made, for this process or one inside it. */
export function joinLan({ tag, hosts }: LanPlan): Omit<Lan, 'remove'> {
  const space = (host: string): string => `${tag}-${host}`;
  const placeOf = (host: string): number => {
    const place = hosts.indexOf(host);
    if (place < 0) throw new Error(`there is no host ${host}; there are ${hosts.join(', ')}`);
    return place + 1;
  };
  const address = (host: string): string => `${NETWORK}.${placeOf(host)}`;
  const nft = async (host: string, ...commands: readonly string[]): Promise<void> => {
    await run('ip', ['netns', 'exec', space(host), 'nft', commands.join('; ')]);
  };
  const link = async (host: string, state: 'up' | 'down'): Promise<void> => {
    await run('ip', ['-n', space('switch'), 'link', 'set', `port${placeOf(host)}`, state]);
  };
  const setsOf = (how: Blockade): readonly string[] =>
    how === 'silence' ? ['heard', 'said'] : Object.entries(SETS).flatMap(([set, word]) => (word === how ? [set] : []));
  return {
    names: hosts,
    address,
    inside: (host) => ['ip', 'netns', 'exec', space(host)],
    unplug: (host) => link(host, 'down'),
    plugIn: (host) => link(host, 'up'),
    block: (host, peer, how) =>
      nft(host, ...setsOf(how).map((set) => `add element inet faults ${set} { ${address(peer)} }`)),
    // Adding first makes the deletion of what is not there no error.
    unblock: (host, peer) =>
      nft(
        host,
        ...Object.keys(SETS).flatMap((set) =>
          ['add', 'delete'].map((verb) => `${verb} element inet faults ${set} { ${address(peer)} }`),
        ),
      ),
  };
}

/** `folder` is removed with it. */
export function makeLan(hosts: readonly string[], folder: string): Lan & { readonly plan: LanPlan } {
  const plan: LanPlan = { tag: `lan${process.pid}`, hosts };
  const spaces = ['switch', ...hosts].map((host) => `${plan.tag}-${host}`);
  const stopWatch = removeWhenGone(spaces, folder);
  const ip = (words: readonly string[], input?: string): void =>
    void execFileSync('ip', words, { input, stdio: ['pipe', 'ignore', 'pipe'] });
  for (const space of spaces) ip(['netns', 'add', space]);
  const inSwitch = ['link add bridge type bridge', 'link set bridge up'];
  for (const [index, space] of spaces.slice(1).entries()) {
    const port = `port${index + 1}`;
    inSwitch.push(
      `link add ${port} type veth peer name eth0 netns ${space}`,
      `link set ${port} master bridge`,
      `link set ${port} up`,
    );
  }
  ip(['-n', spaces[0]!, '-batch', '-'], inSwitch.join('\n'));
  for (const [index, space] of spaces.slice(1).entries()) {
    const own = ['link set lo up', `address add ${NETWORK}.${index + 1}/24 dev eth0`, 'link set eth0 up'];
    ip(['-n', space, '-batch', '-'], own.join('\n'));
    ip(['netns', 'exec', space, 'nft', '-f', '-'], RULES);
  }
  return { ...joinLan(plan), plan, remove: stopWatch };
}

/** Kills what runs in these namespaces and removes them when called, and when this process is gone. */
function removeWhenGone(spaces: readonly string[], folder: string): () => Promise<void> {
  const script =
    'cat; folder=$1; shift; for space; do ip netns pids "$space" | xargs -r kill -9; done 2>/dev/null; ' +
    'for space; do ip netns del "$space"; done 2>/dev/null; rm -rf "$folder"';
  const stdio: ['pipe', 'ignore', 'ignore'] = ['pipe', 'ignore', 'ignore'];
  // In a group of its own, or the Ctrl-C that ends this process would end it first.
  const child = spawn('sh', ['-c', script, 'sh', folder, ...spaces], { detached: true, stdio });
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
