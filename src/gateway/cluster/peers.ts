/**
 * The other gateways, to be asked for what this one cannot serve. Owner of the connections to them, and of how many requests each
 * carries for this one: the rows that it said were free are fewer by these.
 */
import type { ClientRequest } from 'node:http';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import { connect, type ConnectionOptions, type PeerCertificate as ShownCertificate, type TLSSocket } from 'node:tls';
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import type { PeerCertificate } from '../../identity/peer-certificate.ts';
import { gatewayUri, isGatewayPurpose } from '../../identity/peer.ts';
import type { Logger } from '../../logger.ts';
import type { Room } from '../room.ts';
import type { Member } from './member.ts';
import type { MemberList } from './members.ts';
import type { Peer, Peers } from './peer.ts';
import { peerContext } from './peer-listener.ts';

/** To one gateway at once, each with a request. Beyond it another one is asked: a queue would be longer than its caller's patience. */
const MAX_CONNECTIONS = 256;
const MAX_IDLE = 32;
/** For one request: of more the caller had better ask again. */
const MAX_ASKED = 3;
/** A reader of a stream may have to be sent to any of them. */
const MAX_ASKED_FOR_JOB = 64;
/** Whether a gateway that vanished from the list still lives. */
const PROBE_MS = 2_000;
const PROBE_EVERY_MS = 5_000;

export interface PeersOptions {
  readonly members: MemberList;
  readonly certificate: Pick<PeerCertificate, 'tls' | 'onTls'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Known {
  readonly address: string;
  agent: Agent;
  /** With the certificates before, while something runs on their connections. */
  readonly former: Set<Agent>;
  readonly open: Map<string, number>;
}

export interface OpenPeers extends Peers {
  stop(): void;
}

export function createPeers({ members, certificate, clock, logger }: PeersOptions): OpenPeers {
  const known = new Map<string, Known>();

  const tlsOf = (id: string): ConnectionOptions => ({
    ...peerContext(certificate.tls!),
    // The default, unless the environment of the process says otherwise (NODE_TLS_REJECT_UNAUTHORIZED).
    rejectUnauthorized: true,
    ALPNProtocols: ['http/1.1'],
    // Who it is, not where it is: addresses change, and another gateway may have this one by now.
    checkServerIdentity: (_host, shown) => refusalOf(shown, id),
  });

  function agentOf(id: string): Agent {
    return new Agent({
      ...tlsOf(id),
      keepAlive: true,
      maxSockets: MAX_CONNECTIONS,
      maxFreeSockets: MAX_IDLE,
      maxCachedSessions: 0,
      scheduling: 'lifo',
    });
  }

  function knownOf(id: string, address: string): Known {
    const before = known.get(id);
    if (before?.address === address) return before;
    if (before !== undefined) end(before);
    const made: Known = { address, agent: agentOf(id), former: new Set(), open: new Map() };
    known.set(id, made);
    return made;
  }

  function count(open: Map<string, number>, model: string, change: 1 | -1): void {
    const left = (open.get(model) ?? 0) + change;
    if (left > 0) open.set(model, left);
    else open.delete(model);
  }

  function peerOf({ id, peerAddress }: Member): Peer {
    return {
      id,
      get hasRoom() {
        const one = known.get(id);
        return one?.address !== peerAddress || running(one) < MAX_CONNECTIONS;
      },
      request(model, options) {
        const one = knownOf(id, peerAddress!);
        const made: ClientRequest = httpsRequest({
          ...options,
          ...dialled(one.address),
          agent: one.agent,
          setDefaultHeaders: false,
        } as RequestOptions);
        count(one.open, model, 1);
        made.once('close', () => count(one.open, model, -1));
        return made;
      },
    };
  }

  /** Rows that are free there for any version, or for this one; null: nobody serves it there. */
  function freeRows({ id, models }: Member, model: string, version: string | null): number | null {
    const served = models.filter(
      (one) => one.model === model && one.sessions > 0 && (version === null || one.version === version),
    );
    if (served.length === 0) return null;
    return served.reduce((sum, one) => sum + one.freeRows, 0) - (known.get(id)?.open.get(model) ?? 0);
  }

  const able = (): readonly Member[] =>
    certificate.tls === null
      ? []
      : members.others.filter(({ state, peerAddress }) => state === 'serving' && peerAddress !== null);

  const isListed = (id: string): boolean => members.others.some((member) => member.id === id);

  /** A gateway that died without a word leaves connections on which nothing ever comes. One that was only cut from the database lives. */
  async function lookAfter(id: string, one: Known): Promise<void> {
    const lives = one.open.size > 0 && (await probe(dialled(one.address), tlsOf(id), clock));
    if (lives || known.get(id) !== one || isListed(id)) return;
    logger.info('connections to a gateway that is gone are dropped', { gateway: id });
    known.delete(id);
    end(one);
  }

  const lookAfterAll = (): void => {
    for (const [id, one] of known) if (!isListed(id)) void lookAfter(id, one);
  };
  const endMembers = members.onChange(lookAfterAll);
  // One that lives may die later, when no list changes any more.
  const looking = clock.every(PROBE_EVERY_MS, lookAfterAll);
  const endTls = certificate.onTls(() => {
    for (const [id, one] of known) {
      // What runs on the old connections goes on.
      one.former.add(one.agent);
      one.agent = agentOf(id);
      for (const agent of one.former) {
        if (Object.keys(agent.sockets).length > 0) continue;
        one.former.delete(agent);
        agent.destroy();
      }
    }
  });

  return {
    choose(model, version, room: Room) {
      if (room === 'free') return [];
      const found = able().flatMap((member) => {
        const free = freeRows(member, model, version);
        return free === null || (room === 'busy' && free <= 0) ? [] : [{ member, free }];
      });
      found.sort((a, b) => b.free - a.free);
      return found.slice(0, MAX_ASKED).map(({ member }) => peerOf(member));
    },
    holders(model) {
      const busy = (member: Member): number =>
        member.models.reduce((sum, one) => sum + (one.model === model ? one.inFlightJobs : 0), 0);
      const found = able().filter((member) => freeRows(member, model, null) !== null);
      return found
        .sort((a, b) => busy(b) - busy(a))
        .slice(0, MAX_ASKED_FOR_JOB)
        .map(peerOf);
    },
    stop() {
      endMembers();
      endTls();
      looking.cancel();
      for (const one of known.values()) end(one);
      known.clear();
    },
  };
}

/** With what runs on them. */
function end({ agent, former }: Known): void {
  for (const one of [agent, ...former]) one.destroy();
}

function running({ open }: Known): number {
  let requests = 0;
  for (const count of open.values()) requests += count;
  return requests;
}

function dialled(address: string): { readonly host: string; readonly port: number } {
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) };
}

/** undefined: it is the gateway that was dialled. */
function refusalOf({ subjectaltname, ext_key_usage: purposes }: ShownCertificate, id: string): Error | undefined {
  if (subjectaltname === `URI:${gatewayUri(id)}` && isGatewayPurpose(purposes)) return undefined;
  return new PosternError('handshake_refused', `what answers there is not the gateway ${id}`);
}

function probe(at: { host: string; port: number }, tls: ConnectionOptions, clock: Clock): Promise<boolean> {
  return new Promise((resolve) => {
    let socket: TLSSocket;
    try {
      socket = connect({ ...at, ...tls });
    } catch {
      // What another gateway wrote of itself need not be an address.
      resolve(false);
      return;
    }
    const timer = clock.after(PROBE_MS, () => socket.destroy());
    socket.once('secureConnect', () => {
      resolve(true);
      // Not cut: to the other end that would be a handshake that failed.
      socket.end();
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      timer.cancel();
      resolve(false);
    });
  });
}
