/** Where a request comes from, and which addresses count as one. */
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { PosternError } from '../../errors.ts';

/** Without the wrapping of IPv4 in IPv6, as a socket on `::` shows it. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address;
}

/** One customer of a provider has a whole /64: all of it counts as one. An IPv4 address counts for itself. */
export function addressGroup(address: string): string {
  const plain = plainAddress(address);
  if (isIP(plain) !== 6) return plain;
  const [head = '', tail] = plain.split('%', 1)[0]?.split('::') ?? [];
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...Array.from({ length: zeros }, () => '0'), ...after];
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, '').toLowerCase())
    .join(':')}::/64`;
}

export interface Proxies {
  readonly has: (address: string) => boolean;
  /** The caller's address: the nearest one that no trusted proxy has. X-Forwarded-For counts only behind such a proxy. */
  readonly clientOf: (request: IncomingMessage) => string;
  /** Did the caller come by HTTPS, as the trusted proxy says? */
  readonly isHttps: (request: IncomingMessage) => boolean;
}

/** `10.0.0.0/8`, `192.0.2.7`, `fd00::/8` → a list of them. Throws config_invalid. */
export function parseProxies(networks: readonly string[]): Proxies {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits, ...rest] = network.split('/');
    const version = isIP(address);
    const most = version === 4 ? 32 : 128;
    const length = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : NaN;
    if (version === 0 || rest.length > 0 || !(length >= 0 && length <= most)) {
      throw new PosternError('config_invalid', `expected an address or a network such as 10.0.0.0/8, got "${network}"`);
    }
    list.addSubnet(address, length, version === 4 ? 'ipv4' : 'ipv6');
  }

  const has = (address: string): boolean => {
    const plain = plainAddress(address);
    const version = isIP(plain);
    return version !== 0 && list.check(plain, version === 4 ? 'ipv4' : 'ipv6');
  };
  const peerOf = (request: IncomingMessage): string => plainAddress(request.socket.remoteAddress ?? '');

  return {
    has,
    clientOf(request) {
      let nearest = peerOf(request);
      if (networks.length === 0 || !has(nearest)) return nearest;
      const hops = String(request.headers['x-forwarded-for'] ?? '').split(',');
      for (const hop of hops.reverse()) {
        const address = plainAddress(hop.trim());
        // What is no address was not written by a proxy: nothing before it can be believed.
        if (isIP(address) === 0) break;
        nearest = address;
        if (!has(address)) break;
      }
      return nearest;
    },
    isHttps: (request) =>
      networks.length > 0 && has(peerOf(request)) && request.headers['x-forwarded-proto'] === 'https',
  };
}
