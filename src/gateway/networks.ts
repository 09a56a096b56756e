/** Who may connect to the tunnel port at all: networks in CIDR notation. */
import { PosternError } from '../errors.ts';
import { isIn, parseAddress, parseNetwork } from './outbound/address.ts';

export const isNetwork = (text: string): boolean => parseNetwork(text) !== null;

/** Is an address in one of these networks? None: every address is. Throws config_invalid for what is no network. */
export function createNetworkList(networks: readonly string[]): (address: string | undefined) => boolean {
  const list = networks.map((text) => {
    const network = parseNetwork(text);
    if (network !== null) return network;
    throw new PosternError('config_invalid', `expected networks like 192.0.2.0/24 or 2001:db8::/32, got "${text}"`);
  });
  if (list.length === 0) return () => true;
  return (text = '') => {
    // A link-local address carries the name of its interface.
    const address = parseAddress(text.split('%')[0] ?? '');
    return address !== null && list.some((network) => isIn(address, network));
  };
}
