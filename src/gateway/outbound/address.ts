/**
 * IP addresses as bytes, and which of them lie on the public internet. A caller chooses where the gateway sends a request,
 * so everything that is not plainly public is refused: IPv4 by the list of special ranges, IPv6 by allowing global unicast
 * only. Sources: the IANA registries of special-purpose addresses (RFC 6890 and its updates), RFC 6052 for NAT64.
 */
import { isIPv4, isIPv6 } from 'node:net';

/** 4 or 16 bytes, in network order. */
export type Address = Uint8Array;

/** The addresses that begin with these bits. */
export interface Network {
  readonly prefix: Address;
  readonly bits: number;
}

/** The bytes of an address as text; null when it is none. An IPv4 address inside an IPv6 one (`::ffff:10.0.0.1`) is IPv4. */
export function parseAddress(text: string): Address | null {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number);
  // A zone (`fe80::1%eth0`) names an interface of this machine, which is nobody else's to choose.
  if (!isIPv6(text) || text.includes('%')) return null;
  const bytes = parseIPv6(text);
  return isIn(bytes, MAPPED) ? bytes.subarray(12) : bytes;
}

function parseIPv6(text: string): Address {
  const dotted = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const hex = (high: string | undefined, low: string | undefined): string =>
    (Number(high) * 256 + Number(low)).toString(16);
  const groups = dotted
    ? `${text.slice(0, dotted.index)}${hex(dotted[1], dotted[2])}:${hex(dotted[3], dotted[4])}`
    : text;
  const [head = '', tail] = groups.split('::');
  const words = (part: string): number[] => (part === '' ? [] : part.split(':').map((word) => parseInt(word, 16)));
  const [before, after] = [words(head), words(tail ?? '')];
  const all = [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Uint8Array.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}

/** `10.0.0.0/8`, `fd00::/8`, or one address; null when it is neither. */
export function parseNetwork(text: string): Network | null {
  const [address = '', length, ...rest] = text.split('/');
  const prefix = parseAddress(address);
  if (prefix === null || rest.length > 0) return null;
  const most = prefix.length * 8;
  if (length === undefined) return { prefix, bits: most };
  if (!/^\d{1,3}$/.test(length) || Number(length) > most) return null;
  return { prefix, bits: Number(length) };
}

export function isIn(address: Address, { prefix, bits }: Network): boolean {
  if (address.length !== prefix.length) return false;
  const whole = bits >> 3;
  for (let index = 0; index < whole; index += 1) if (address[index] !== prefix[index]) return false;
  const mask = (0xff00 >> (bits & 7)) & 0xff;
  return mask === 0 || (address[whole]! & mask) === (prefix[whole]! & mask);
}

const MAPPED: Network = { prefix: Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]), bits: 96 };

function networks(...texts: readonly string[]): readonly Network[] {
  return texts.map((text) => parseNetwork(text)!);
}

const NOT_PUBLIC_IPV4 = networks(
  '0.0.0.0/8', // this network; Linux connects 0.0.0.0 to itself
  '10.0.0.0/8', // private
  '100.64.0.0/10', // behind a provider's NAT; 100.100.100.200 is a cloud's metadata
  '127.0.0.0/8', // loopback
  '168.63.129.16/32', // Azure's host, seen by every machine there
  '169.254.0.0/16', // link-local; 169.254.169.254 is the metadata of most clouds
  '172.16.0.0/12', // private
  '192.0.0.0/24', // protocol assignments; 192.0.0.192 is a cloud's metadata
  '192.0.2.0/24', // documentation
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16', // private
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, and broadcast
);

const GLOBAL_UNICAST = parseNetwork('2000::/3')!;
const NAT64 = parseNetwork('64:ff9b::/96')!;
/** Within global unicast. */
const NOT_PUBLIC_IPV6 = networks(
  '2001::/23', // protocol assignments; Teredo carries an IPv4 address
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4 carries an IPv4 address
  '3fff::/20', // documentation
);

/** Is this an address that anybody on the internet can reach, and that is the same machine for everybody? */
export function isPublic(address: Address): boolean {
  if (address.length === 4) return !NOT_PUBLIC_IPV4.some((network) => isIn(address, network));
  // A network without IPv4 reaches it through these; what counts is whom they lead to.
  if (isIn(address, NAT64)) return isPublic(address.subarray(12));
  return isIn(address, GLOBAL_UNICAST) && !NOT_PUBLIC_IPV6.some((network) => isIn(address, network));
}
