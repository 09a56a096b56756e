/** A gateway's real identity for tests: control records, authority, invitations; with a clock that the test may move. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SecureContextOptions } from 'node:tls';
import { systemClock } from '../../src/clock.ts';
import type { Clock } from '../../src/clock.ts';
import { makeKeyPem, makeRequest } from '../../src/identity/certificate.ts';
import type { Issued } from '../../src/identity/enrolment.ts';
import { makeSecret } from '../../src/identity/invitation.ts';
import { openRecords } from '../../src/identity/records.ts';
import type { Records } from '../../src/identity/records.ts';
import { openTunnelIdentity } from '../../src/identity/tunnel-identity.ts';
import type { OpenTunnelIdentity, TunnelIdentityOptions } from '../../src/identity/tunnel-identity.ts';
import { silentLogger } from '../../src/logger.ts';

export const DAY_MS = 86_400_000;

/** The system's clock, ahead by as much as the test says. Timers run as always. */
export interface ShiftedClock extends Clock {
  aheadMs: number;
}

export function createShiftedClock(): ShiftedClock {
  const clock: ShiftedClock = { ...systemClock, aheadMs: 0, now: () => systemClock.now() + clock.aheadMs };
  return clock;
}

export interface Member {
  readonly name: string;
  readonly keyPem: string;
  readonly certPem: string;
  readonly certificate: X509Certificate;
  readonly tls: SecureContextOptions;
}

export interface IdentityScene {
  readonly folder: string;
  readonly clock: ShiftedClock;
  readonly records: Records;
  readonly identity: OpenTunnelIdentity;
  /** The secret of a new invitation. */
  invite(name: string, models?: readonly string[] | null, ttlMs?: number): string;
  /** Invited and joined. */
  join(name: string, models?: readonly string[] | null): Promise<Member>;
  /** Asks for the next certificate of a member with a new key, or with this one. */
  renew(member: Member, keyPem?: string): Promise<Member>;
  close(): Promise<void>;
}

const ACT = { actor: 'test', at: 1_700_000_000_000 };

export async function openIdentityScene(options: Partial<TunnelIdentityOptions> = {}): Promise<IdentityScene> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-identity-scene-'));
  const clock = createShiftedClock();
  const records = openRecords(folder);
  const identity = await openTunnelIdentity({
    records,
    folder: join(folder, 'identity'),
    hosts: [],
    foreign: null,
    certificateTtlMs: DAY_MS,
    renewalGraceMs: 30 * DAY_MS,
    clock,
    logger: silentLogger,
    ...options,
  });
  await identity.start();

  function memberOf(name: string, keyPem: string, { certificate, authorities }: Issued): Member {
    const tls = { key: keyPem, cert: certificate, ca: [...authorities] };
    return { name, keyPem, certPem: certificate, certificate: new X509Certificate(certificate), tls };
  }

  const scene: IdentityScene = {
    folder,
    clock,
    records,
    identity,
    invite(name, models = null, ttlMs = 600_000) {
      const { secret, id, digest } = makeSecret();
      const allowance = models === null ? null : new Set(models);
      const invitation = { id, digest, worker: name, models: allowance, expiresAt: clock.now() + ttlMs };
      identity.workers.invite(invitation, { ...ACT, at: clock.now() });
      return secret;
    },
    async join(name, models = null) {
      const keyPem = makeKeyPem();
      const request = await makeRequest(keyPem, name);
      return memberOf(name, keyPem, await identity.enrolment.join(scene.invite(name, models), request, 'test'));
    },
    async renew(member, keyPem = makeKeyPem()) {
      const request = await makeRequest(keyPem, member.name);
      return memberOf(member.name, keyPem, await identity.enrolment.renew(member.certificate, request));
    },
    async close() {
      await identity.stop();
      records.close();
      await rm(folder, { recursive: true });
    },
  };
  return scene;
}

/** The same key in both? */
export const isKeyOf = (keyPem: string, certPem: string): boolean =>
  new X509Certificate(certPem).checkPrivateKey(createPrivateKey(keyPem));
