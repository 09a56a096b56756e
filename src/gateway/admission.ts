/**
 * Who may shake hands now. A TLS handshake costs about a millisecond of CPU and a place costs memory, so both are
 * counted, in all and by address: one address, or a thousand silent ones, can delay newcomers but never stall the rest.
 *
 * Owner of: the places. A place is waiting → active → left; leaving is always allowed and happens once.
 */
import { isIPv6 } from 'node:net';

export interface AdmissionLimits {
  /** Connections between accept and an accepted hello. */
  readonly maxActive: number;
  readonly maxActivePerAddress: number;
  /** Accepted but not yet begun. Beyond it newcomers are refused, and come again after their back-off. */
  readonly maxWaiting: number;
  readonly maxWaitingPerAddress: number;
}

export interface Place {
  leave(): void;
}

interface Entry {
  readonly address: string;
  readonly begin: () => void;
  state: 'waiting' | 'active' | 'left';
}

export interface Admission {
  /** `begin` runs at once, or when a place is free. null: refused. */
  admit(address: string, begin: () => void): Place | null;
  readonly activeCount: number;
  readonly waitingCount: number;
}

export function createAdmission(limits: AdmissionLimits): Admission {
  const active = createTally();
  const waiting = createTally();
  /** In order of arrival. */
  const queue = new Set<Entry>();

  const hasRoom = (address: string): boolean =>
    active.total() < limits.maxActive && active.of(address) < limits.maxActivePerAddress;

  function activate(entry: Entry): void {
    entry.state = 'active';
    active.add(entry.address, 1);
    entry.begin();
  }

  function leave(entry: Entry): void {
    const { state } = entry;
    entry.state = 'left';
    if (state === 'waiting') {
      queue.delete(entry);
      waiting.add(entry.address, -1);
    }
    if (state !== 'active') return;
    active.add(entry.address, -1);
    for (const next of queue) {
      if (!hasRoom(next.address)) continue;
      queue.delete(next);
      waiting.add(next.address, -1);
      activate(next);
      return;
    }
  }

  return {
    admit(address, begin) {
      const entry: Entry = { address, begin, state: 'waiting' };
      const place: Place = { leave: () => leave(entry) };
      if (hasRoom(address)) {
        activate(entry);
        return place;
      }
      if (waiting.total() >= limits.maxWaiting || waiting.of(address) >= limits.maxWaitingPerAddress) return null;
      waiting.add(address, 1);
      queue.add(entry);
      return place;
    },
    get activeCount() {
      return active.total();
    },
    get waitingCount() {
      return waiting.total();
    },
  };
}

interface Tally {
  total(): number;
  of(address: string): number;
  add(address: string, by: 1 | -1): void;
}

function createTally(): Tally {
  const counts = new Map<string, number>();
  let total = 0;
  return {
    total: () => total,
    of: (address) => counts.get(address) ?? 0,
    add(address, by) {
      total += by;
      const count = (counts.get(address) ?? 0) + by;
      if (count === 0) counts.delete(address);
      else counts.set(address, count);
    },
  };
}

/** One subscriber is usually handed a whole /64, so that is what counts as one address in IPv6. */
export function addressKey(address: string | undefined): string {
  if (address === undefined) return 'unknown';
  const bare = address.startsWith('::ffff:') ? address.slice(7) : address;
  if (!isIPv6(bare)) return bare;
  const [head = '', tail] = bare.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const rest = tail === '' ? [] : tail.split(':');
    while (groups.length + rest.length < 8) groups.push('0');
    groups.push(...rest);
  }
  return groups.slice(0, 4).join(':');
}
