/**
 * Which addresses a worker dials: a decision from what it was told to dial, what its gateways say, and whom it has reached. Pure.
 *
 * Gateways may see the cluster differently: one that is cut off from the others names itself alone. So whatever any connected one
 * names is dialled, and no connection is given up because a list lacks it.
 */
import type { MessageOf } from '../../protocol/messages.ts';
import type { Target } from '../targets.ts';

export type GatewayList = MessageOf<'gateways'>['gateways'];

/** One link, as far as this decision goes. */
export interface Dialled {
  readonly target: Target;
  /** null: it dials. */
  readonly gateway: string | null;
  /** The last list that this gateway sent; null: none, it is alone or does not know this message. */
  readonly list: GatewayList | null;
}

export interface Plan<L extends Dialled> {
  /** Where another link is to be opened. */
  readonly open: readonly Target[];
  /** Links that need not dial any longer. */
  readonly close: readonly L[];
}

/** A hello has 4 KiB, and a list of 64: so many names of gateways go into it, and so many bytes of them. */
const MAX_NAMES = 64;
const MAX_NAME_BYTES = 2_000;

const nameOf = ({ host, port }: Target): string => `${host.toLowerCase()} ${port}`;

export function planDials<L extends Dialled>(seeds: readonly Target[], links: readonly L[]): Plan<L> {
  const connected = links.filter(({ gateway }) => gateway !== null);
  const dialling = links.filter(({ gateway }) => gateway === null);
  const names = connected.map(({ gateway }) => gateway!);
  const known = new Set(names);
  const reached = new Set(links.map(({ target }) => nameOf(target)));
  // Nobody is there to ask: whoever was known may be the first to come back.
  if (connected.length === 0) return { open: seeds.filter((seed) => !reached.has(nameOf(seed))), close: [] };

  const missing = new Map<string, string | undefined>();
  for (const { list } of connected) {
    for (const { id, address } of list ?? []) {
      if (!known.has(id)) missing.set(id, address ?? missing.get(id));
    }
  }
  const wanted = new Map<string, Target>();
  let isSearching = false;
  for (const address of missing.values()) {
    const target = address === undefined ? null : targetOf(address);
    if (target === null) isSearching = true;
    else wanted.set(nameOf(target), target);
  }
  // One that is met again and that the hello could not name would end the session that there is for the new one.
  const tried = namesInHello(names).length === names.length ? seeds : [];
  // Somebody is missing, perhaps under an address that is no good from here; or nobody says who there is.
  if (missing.size > 0 || connected.some(({ list }) => list === null)) {
    const atHand = new Set(connected.map(({ target }) => nameOf(target)));
    for (const seed of tried) if (!atHand.has(nameOf(seed))) wanted.set(nameOf(seed), seed);
  }
  const open = [...wanted.values()].filter((target) => !reached.has(nameOf(target)));
  if (isSearching) {
    const atWork = new Set(dialling.map(({ target }) => nameOf(target)));
    for (const seed of tried) {
      if (!wanted.has(nameOf(seed)) && !atWork.has(nameOf(seed))) open.push(seed);
      wanted.set(nameOf(seed), seed);
    }
  }
  return { open, close: dialling.filter(({ target }) => !wanted.has(nameOf(target))) };
}

/** Of the gateways that a worker is connected to, those that its hello to another one can name. */
export function namesInHello(gateways: readonly string[]): string[] {
  let bytes = 0;
  const fitting = gateways.filter((gateway) => {
    const nameBytes = Buffer.byteLength(JSON.stringify(gateway)) + 1;
    if (bytes + nameBytes > MAX_NAME_BYTES) return false;
    bytes += nameBytes;
    return true;
  });
  return fitting.slice(0, MAX_NAMES);
}

/** `host:port`, `[address]:port`; null: it is neither. */
export function targetOf(address: string): Target | null {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s/]+)):(\d{1,5})$/.exec(address) ?? [];
  const [host, port] = [bracketed ?? plain, Number(digits)];
  return host === undefined || !(port >= 1 && port <= 65_535) ? null : { host, port };
}
