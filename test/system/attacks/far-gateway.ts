/** The gateway far-1, as far as it asks others: real connections with a real certificate, to a list that a test decides about. */
import { systemClock, type Clock } from '../../../src/clock.ts';
import { createMembers } from '../../../src/gateway/cluster/members.ts';
import type { Peers } from '../../../src/gateway/cluster/peer.ts';
import { createPeers } from '../../../src/gateway/cluster/peers.ts';
import { createPeerCertificate } from '../../../src/identity/peer-certificate.ts';
import { silentLogger } from '../../../src/logger.ts';
import type { PeerStage } from './peer-stage.ts';

export interface FarGateway {
  readonly peers: Peers;
  /** As when another certificate was made. */
  renewed(): void;
  /** The list is empty from now on. */
  unlist(): void;
  /** Ends its connections. Twice is fine. */
  stop(): void;
  close(): Promise<void>;
}

/** Its list has these ids at the address of the stage. */
export async function openFarGateway(
  stage: PeerStage,
  ids: readonly string[],
  clock: Clock = systemClock,
): Promise<FarGateway> {
  const certificate = createPeerCertificate({
    id: 'far-1',
    identity: stage.scene.identity,
    clock: systemClock,
    logger: silentLogger,
  });
  await certificate.start();
  const serves = { model: 'plants', version: '1', sessions: 1, freeRows: 1, inFlightJobs: 0 };
  const summary = JSON.stringify({ sessions: 1, models: [['plants', '1', 1, 1, 0]] });
  const row = (id: string) => {
    const own = { id, release: '', state: 'serving', tunnelAddress: null, joinedAt: 0, ageMs: 0, summary } as const;
    return { ...own, peerAddress: `127.0.0.1:${stage.port}` };
  };
  const rows = ids.map(row);
  const members = createMembers({
    self: 'far-1',
    release: '',
    store: {
      members: {
        beat: () => Promise.resolve(rows),
        read: () => Promise.resolve(rows),
        leave: () => Promise.resolve(),
        announce: () => undefined,
      },
    },
    summary: () => ({ sessions: 0, models: [serves] }),
    clock: systemClock,
    logger: silentLogger,
  });
  await members.join({ tunnelAddress: null, peerAddress: null });
  const renewals = new Set<() => void>();
  const changes = new Set<() => void>();
  let isListed = true;
  const peers = createPeers({
    members: {
      self: members.self,
      get list() {
        return members.list;
      },
      get others() {
        return isListed ? members.others : [];
      },
      onChange(observer) {
        changes.add(observer);
        return () => changes.delete(observer);
      },
    },
    certificate: {
      get tls() {
        return certificate.tls;
      },
      onTls(observer) {
        renewals.add(observer);
        return () => renewals.delete(observer);
      },
    },
    clock,
    logger: silentLogger,
  });
  return {
    peers,
    renewed: () => renewals.forEach((observe) => observe()),
    unlist() {
      isListed = false;
      changes.forEach((observe) => observe());
    },
    stop: () => peers.stop(),
    async close() {
      peers.stop();
      await members.leave();
      await certificate.stop();
    },
  };
}
