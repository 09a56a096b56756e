/** The table of gateways in the database: who beat within six seconds is there (`docs/architecture/cluster.md`). */
import type { GatewayPart, MemberList } from './shape.ts';
import type { Timeline } from './timeline.ts';

const DEAD_MS = 6_000;

export type Members = ReturnType<typeof createMembers>;

export function createMembers(timeline: Timeline) {
  const rows = new Map<string, { readonly address: string; atMs: number }>();
  const lists = new Map<string, MemberList>();

  function list(): MemberList {
    const addresses: string[] = [];
    for (const { address, atMs } of rows.values()) if (timeline.nowMs - atMs < DEAD_MS) addresses.push(address);
    addresses.sort();
    const key = addresses.join();
    let found = lists.get(key);
    if (!found) lists.set(key, (found = { addresses, key }));
    return found;
  }

  return {
    list,
    /** One statement of a gateway: says that it lives, and asks who else does. */
    beat({ id, address }: GatewayPart): MemberList {
      rows.set(id, { address, atMs: timeline.nowMs });
      return list();
    },
    leave({ id }: GatewayPart): void {
      rows.delete(id);
    },
  };
}
