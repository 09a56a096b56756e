/** The gateway's identity: the authority, the gateway's own certificate, and certificates for workers. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import { workerName } from '../protocol/messages.ts';
import { checkKeyMode, openAuthority } from './authority.ts';
import type { Authority } from './authority.ts';
import type { AlternativeName, KeyAndCertificate } from './certificate.ts';
import { GATEWAY_SERVER_NAME, workerUri } from './peer.ts';
import { KEY_MODE, PUBLIC_MODE, readStateFile, writeStateFile } from '../state-file.ts';

/** One year, made anew at a start that finds less than a third of it left. */
const GATEWAY_TTL_MS = 365 * 86_400_000;

export interface GatewayIdentity {
  readonly caPem: string;
  readonly gateway: KeyAndCertificate;
  /** A new key and certificate for the worker `name` (`[a-z0-9-]`, at most 63), valid for `ttlMs` from now. */
  issueWorker(name: string, ttlMs: number): Promise<KeyAndCertificate>;
}

export interface OpenIdentityOptions {
  /** Where the authority and the gateway's key live; made when missing. */
  readonly folder: string;
  /** Names and addresses beside localhost under which the gateway is reached. */
  readonly hosts: readonly string[];
  readonly clock: Clock;
}

/** Opens the identity in `folder`, making what is missing. Rejects with config_invalid when it is broken. */
export async function openIdentity({ folder, hosts, clock }: OpenIdentityOptions): Promise<GatewayIdentity> {
  const authority = await openAuthority(folder, clock);
  const gateway = await openGatewayCertificate(folder, hosts, authority, clock);
  return {
    caPem: authority.certPem,
    gateway,
    issueWorker(name, ttlMs) {
      if (!workerName.safeParse(name).success) {
        const expected = 'lower-case letters, digits and hyphens, at most 63';
        return Promise.reject(new PosternError('config_invalid', `worker name: expected ${expected}, got "${name}"`));
      }
      const names: AlternativeName[] = [{ type: 'url', value: workerUri(name) }];
      return authority.issue({ commonName: name, names, purpose: 'clientAuth', ttlMs });
    },
  };
}

/** The gateway's key and certificate, from this authority and for these hosts; made anew when the one there will not do. */
export async function openGatewayCertificate(
  folder: string,
  hosts: readonly string[],
  authority: Authority,
  clock: Clock,
): Promise<KeyAndCertificate> {
  const keyPath = join(folder, 'gateway.key');
  const certPath = join(folder, 'gateway.pem');
  const wanted = [...new Set([GATEWAY_SERVER_NAME, 'localhost', '127.0.0.1', '::1', ...hosts])];
  const [keyPem, certPem] = [await readStateFile(keyPath), await readStateFile(certPath)];
  if (keyPem !== null && certPem !== null) {
    await checkKeyMode(keyPath);
    if (isUsable(keyPem, certPem, authority.certPem, wanted, clock.now())) return { keyPem, certPem };
  }
  // Unlike the authority, this pair may be made again at any time: nobody trusts it but through the authority.
  const names = wanted.map((value): AlternativeName => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }));
  const request = { commonName: GATEWAY_SERVER_NAME, names, purpose: 'serverAuth', ttlMs: GATEWAY_TTL_MS } as const;
  const made = await authority.issue(request);
  await writeStateFile(keyPath, made.keyPem, KEY_MODE);
  await writeStateFile(certPath, made.certPem, PUBLIC_MODE);
  return made;
}

function isUsable(keyPem: string, certPem: string, caPem: string, hosts: readonly string[], now: number): boolean {
  try {
    const certificate = new X509Certificate(certPem);
    const leftMs = certificate.validToDate.getTime() - now;
    return (
      certificate.checkPrivateKey(createPrivateKey(keyPem)) &&
      certificate.verify(new X509Certificate(caPem).publicKey) &&
      leftMs > GATEWAY_TTL_MS / 3 &&
      hosts.every((host) => (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined)
    );
  } catch {
    return false;
  }
}
