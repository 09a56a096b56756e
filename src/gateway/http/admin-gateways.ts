/** `/v1/admin/gateways`: the gateways that share this one's database. */
import type { Clock } from '../../clock.ts';
import type { Member } from '../cluster/member.ts';
import type { MemberList } from '../cluster/members.ts';
import { json, type Route } from './route.ts';

export interface AdminGatewayRoutesOptions {
  readonly members: Pick<MemberList, 'list'>;
  readonly clock: Clock;
}

export function adminGatewayRoutes({ members, clock }: AdminGatewayRoutesOptions): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/admin/gateways',
      scope: 'admin',
      handle() {
        const now = clock.monotonic();
        return json(200, JSON.stringify({ results: members.list.map((member) => body(member, now)) }));
      },
    },
  ];
}

function body(member: Member, now: number): object {
  return {
    id: member.id,
    answers: member.isSelf,
    release: member.release,
    state: member.state,
    joined_at: new Date(member.joinedAt).toISOString(),
    heartbeat_age_ms: Math.max(0, Math.round(now - member.heardAt)),
    tunnel_address: member.tunnelAddress,
    peer_address: member.peerAddress,
    sessions: member.sessions,
    models: member.models.map(({ model, version, sessions, freeRows, inFlightJobs }) => {
      return { name: model, version, sessions, credit_rows: freeRows, in_flight_jobs: inFlightJobs };
    }),
  };
}
