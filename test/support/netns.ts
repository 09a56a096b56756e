/**
 * Two hosts on one machine: network namespaces joined by a veth pair, made and removed by the test. The private one drops
 * every packet that opens a connection towards it, like a machine behind NAT. Needs root, `ip` and `nft`.
 */
import { execFileSync } from 'node:child_process';
import { lacking, needsProgram } from './needs.ts';

export interface TwoHosts {
  /** Namespace names, for `ip netns exec`. */
  readonly publicHost: string;
  readonly privateHost: string;
  /** Address of the public host, as the private one sees it. */
  readonly publicAddress: string;
  readonly privateAddress: string;
  /** Cuts or mends the link between the two. */
  setLink(up: boolean): void;
  remove(): void;
}

const run = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();

/** Why this machine cannot make namespaces, or false. */
export function cannotMakeHosts(): false | string {
  const programs = needsProgram('ip', 'nft');
  if (programs !== false) return programs;
  const probe = `postern-probe-${process.pid}`;
  try {
    run('ip', 'netns', 'add', probe);
    run('ip', 'netns', 'del', probe);
    return false;
  } catch {
    return lacking('network namespaces cannot be made here (they need root)');
  }
}

export function makeTwoHosts(): TwoHosts {
  const tag = `${process.pid % 100_000}`;
  const [publicHost, privateHost] = [`pub${tag}`, `prv${tag}`];
  const [publicLink, privateLink] = [`vp${tag}`, `vw${tag}`];
  // 192.0.2.0/24 is reserved for documentation (RFC 5737): no real network can be shadowed by it.
  const [publicAddress, privateAddress] = ['192.0.2.1', '192.0.2.2'];
  const inside = (host: string, ...args: string[]): string => run('ip', 'netns', 'exec', host, ...args);
  const remove = (): void => {
    for (const host of [publicHost, privateHost]) {
      try {
        run('ip', 'netns', 'del', host);
      } catch {
        // It was not made, or is gone already.
      }
    }
  };
  try {
    for (const host of [publicHost, privateHost]) {
      run('ip', 'netns', 'add', host);
      inside(host, 'ip', 'link', 'set', 'lo', 'up');
    }
    run(
      'ip',
      'link',
      'add',
      publicLink,
      'netns',
      publicHost,
      'type',
      'veth',
      'peer',
      privateLink,
      'netns',
      privateHost,
    );
    for (const [host, link, address] of [
      [publicHost, publicLink, publicAddress],
      [privateHost, privateLink, privateAddress],
    ] as const) {
      inside(host, 'ip', 'address', 'add', `${address}/24`, 'dev', link);
      inside(host, 'ip', 'link', 'set', link, 'up');
    }
    const nft = (...command: string[]): string => inside(privateHost, 'nft', ...command);
    const rule = (text: string): string =>
      nft('add', 'rule', 'inet', 'nat', 'in', 'iifname', privateLink, ...text.split(' '));
    nft('add', 'table', 'inet', 'nat');
    nft('add', 'chain', 'inet', 'nat', 'in', '{ type filter hook input priority 0; policy accept; }');
    // Stateless, so that no connection tracking is needed: a packet that opens a connection is SYN without ACK.
    rule('tcp flags syn / syn,ack drop');
    rule('meta l4proto udp drop');
  } catch (error) {
    remove();
    throw error;
  }
  return {
    publicHost,
    privateHost,
    publicAddress,
    privateAddress,
    setLink: (up) => void inside(publicHost, 'ip', 'link', 'set', publicLink, up ? 'up' : 'down'),
    remove,
  };
}
