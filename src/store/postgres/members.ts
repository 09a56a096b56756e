/** The gateways on this database. One statement a beat; whose beat is old is judged by who reads, in ms of the database's clock. */
import type { MemberBook, MemberNote, MemberRow } from '../members.ts';
import type { Row } from './connection.ts';
import type { createHints } from './hints.ts';
import type { Read } from './reads.ts';
import type { Times } from './options.ts';

/** A row that nobody renews is of a process that was killed. It stays long enough for whoever comes back from an outage. */
const FORGET_MS = 600_000;
const COLUMNS = 'id, release, state, tunnel_address, peer_address, summary, joined_at';

export interface MembersOptions {
  readonly read: Read;
  readonly hints: Pick<ReturnType<typeof createHints>, 'members'>;
  readonly times: Times;
}

export function createMembers({ read, hints, times }: MembersOptions): MemberBook {
  return {
    async beat({ id, release, state, tunnelAddress, peerAddress, summary }: MemberNote) {
      const rows = await read(
        `WITH own AS (
           INSERT INTO postern.member (${COLUMNS}, beat_at)
           VALUES ($2, $3, $4, $5, $6, $7, postern.ms_1($1), postern.ms_1($1))
           ON CONFLICT (id) DO UPDATE SET release = excluded.release, state = excluded.state, tunnel_address = excluded.tunnel_address,
             peer_address = excluded.peer_address, summary = excluded.summary, beat_at = excluded.beat_at
           RETURNING ${COLUMNS}, beat_at
         ), gone AS (
           -- Gateways that come back from an outage together each have a row that the others hold for dead.
           DELETE FROM postern.member WHERE id IN (
             SELECT m.id FROM postern.member m WHERE m.id <> $2 AND m.beat_at < postern.ms_1($1) - $8 FOR UPDATE SKIP LOCKED)
         )
         SELECT ${COLUMNS}, 0 FROM own
         UNION ALL
         SELECT ${COLUMNS}, postern.ms_1($1) - beat_at FROM postern.member WHERE id <> $2 AND beat_at >= postern.ms_1($1) - $8`,
        [times.now(), id, release, state, tunnelAddress, peerAddress, summary, FORGET_MS],
      );
      return rows.map(toMember).sort(byId);
    },
    async read() {
      const text = `SELECT ${COLUMNS}, postern.ms_1($1) - beat_at FROM postern.member`;
      return (await read(text, [times.now()])).map(toMember).sort(byId);
    },
    async leave(id) {
      await read('DELETE FROM postern.member WHERE id = $1', [id]);
      hints.members();
    },
    announce: () => hints.members(),
  };
}

const byId = (a: MemberRow, b: MemberRow): number => (a.id < b.id ? -1 : 1);

function toMember(row: Row): MemberRow {
  const [id, release, state, tunnelAddress, peerAddress, summary, joinedAt, ageMs] = row as [
    string,
    string,
    MemberRow['state'],
    string | null,
    string | null,
    string,
    number,
    number,
  ];
  // A clock that was set back makes nobody younger than now.
  return { id, release, state, tunnelAddress, peerAddress, summary, joinedAt, ageMs: Math.max(0, ageMs) };
}
