/** Networks in CIDR notation: who may connect to the tunnel port at all. */
import { BlockList, isIP } from 'node:net';
import { PosternError } from '../errors.ts';

/** `192.0.2.0/24`, `2001:db8::/32`, or one address. null: it is none of these. */
function parseNetwork(text: string): { address: string; bits: number; family: 'ipv4' | 'ipv6' } | null {
  const [address = '', bitsText, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return null;
  const most = version === 4 ? 32 : 128;
  if (bitsText !== undefined && !/^\d{1,3}$/.test(bitsText)) return null;
  const bits = bitsText === undefined ? most : Number(bitsText);
  return bits > most ? null : { address, bits, family: version === 4 ? 'ipv4' : 'ipv6' };
}

export const isNetwork = (text: string): boolean => parseNetwork(text) !== null;

/** Is an address in one of these networks? None: every address is. Throws config_invalid for what is no network. */
export function createNetworkList(networks: readonly string[]): (address: string | undefined) => boolean {
  if (networks.length === 0) return () => true;
  const list = new BlockList();
  for (const text of networks) {
    const network = parseNetwork(text);
    if (network === null) {
      throw new PosternError('config_invalid', `expected networks like 192.0.2.0/24 or 2001:db8::/32, got "${text}"`);
    }
    list.addSubnet(network.address, network.bits, network.family);
  }
  return (address = '') => {
    // A socket for both families shows IPv4 callers like this.
    const bare = address.startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address;
    const version = isIP(bare);
    return version !== 0 && list.check(bare, version === 4 ? 'ipv4' : 'ipv6');
  };
}
