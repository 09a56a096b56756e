/** Who the other end is, read from the certificate that it proved to hold. Nothing here trusts a message. */
import type { X509Certificate } from 'node:crypto';
import { PosternError } from '../errors.ts';
import { workerName } from '../protocol/messages.ts';
import { fingerprintOf } from './fingerprint.ts';

/**
 * The name that every gateway's certificate carries, and that workers check instead of the host name which they dialled:
 * the authority signs for this purpose only, and addresses, tunnels and NAT change without a new certificate.
 */
export const GATEWAY_SERVER_NAME = 'postern-gateway';

const WORKER_URI = 'postern://worker/';
const GATEWAY_URI = 'postern://gateway/';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

/** The only name of the certificate that one gateway shows another. `id`: of the process. */
export const gatewayUri = (id: string): string => GATEWAY_URI + id;

export interface WorkerIdentity {
  readonly name: string;
  /** Epoch ms. */
  readonly certificateEndsAt: number;
  /** SHA-256 of the certificate, hexadecimal. */
  readonly fingerprint: string;
}

export function workerUri(name: string): string {
  return WORKER_URI + name;
}

/**
 * How a certificate names its worker. `own`: by what this installation's authority writes, and nothing else: the only
 * alternative name is `postern://worker/<name>`, the only purpose client authentication. `uri` and `cn` are for certificates
 * of another authority, which may say more: one such alternative name among others, or the common name.
 */
export type NameRule = 'own' | 'uri' | 'cn';

/**
 * The worker that a certificate names. The chain was verified by TLS; dates are checked here too, because a connection may
 * outlive the handshake's check. `graceMs`: for so long after its end it is read all the same. Throws handshake_refused.
 */
export function readWorkerCertificate(
  certificate: X509Certificate,
  now: number,
  rule: NameRule = 'own',
  graceMs = 0,
): WorkerIdentity {
  const { success, data: name } = workerName.safeParse(NAME_READERS[rule](certificate));
  if (!success) throw refused(NAME_WORDS[rule]);
  checkPurpose(certificate, CLIENT_AUTH, 'client authentication', rule === 'own');
  if (certificate.validFromDate.getTime() > now) throw refused(`it is not valid before ${certificate.validFrom}`);
  const certificateEndsAt = certificate.validToDate.getTime();
  if (certificateEndsAt + graceMs <= now) throw refused(`it ended on ${certificate.validTo}`);
  return { name, certificateEndsAt, fingerprint: fingerprintOf(certificate) };
}

const NAME_READERS: Record<NameRule, (certificate: X509Certificate) => unknown> = {
  own: ({ subjectAltName }) => afterPrefix(subjectAltName ?? ''),
  uri({ subjectAltName = '' }) {
    // A quoted name could hold a comma, and so look like two.
    if (subjectAltName.includes('"')) return null;
    const names = subjectAltName
      .split(', ')
      .map(afterPrefix)
      .filter((name) => name !== null);
    return names.length === 1 ? names[0] : null;
  },
  cn: (certificate) => (certificate.toLegacyObject().subject as { CN?: unknown } | undefined)?.CN,
};

const NAME_WORDS: Record<NameRule, string> = {
  own: `its only alternative name must be ${WORKER_URI}<name>`,
  uri: `exactly one of its alternative names must be ${WORKER_URI}<name>`,
  cn: 'its common name must be the name of a worker (lower-case letters, digits, hyphens)',
};

function afterPrefix(name: string): string | null {
  const prefix = `URI:${WORKER_URI}`;
  return name.startsWith(prefix) ? name.slice(prefix.length) : null;
}

/**
 * Checks that a certificate is a gateway's. The chain and the name were verified by TLS. `strict`: as this installation's
 * authority makes them, for this purpose and no other. Throws handshake_refused.
 */
export function checkGatewayCertificate(certificate: X509Certificate, strict = true): void {
  checkPurpose(certificate, SERVER_AUTH, 'server authentication', strict);
}

/** For both ends, and for nothing else. */
export const isGatewayPurpose = (purposes: readonly string[] | undefined): boolean =>
  purposes?.length === 2 && purposes.includes(CLIENT_AUTH) && purposes.includes(SERVER_AUTH);

/** The id of the gateway that dials another one. The chain was verified by TLS. Throws handshake_refused. */
export function readGatewayCertificate(certificate: X509Certificate, now: number): string {
  const prefix = `URI:${GATEWAY_URI}`;
  const { subjectAltName = '', ca, keyUsage } = certificate;
  const id = subjectAltName.startsWith(prefix) ? subjectAltName.slice(prefix.length) : '';
  if (!/^[a-z0-9-]{1,64}$/.test(id)) throw refused(`its only alternative name must be ${GATEWAY_URI}<id>`);
  if (ca || !isGatewayPurpose(keyUsage)) throw refused('it must be for both ends of a connection');
  if (certificate.validToDate.getTime() <= now) throw refused(`it ended on ${certificate.validTo}`);
  return id;
}

/** TLS accepts a certificate without any purpose; here it must state one, and not be an authority's. */
function checkPurpose(certificate: X509Certificate, purpose: string, words: string, only: boolean): void {
  // The types forget that a certificate without the extension gives undefined.
  const purposes = certificate.keyUsage ?? [];
  if (!certificate.ca && purposes.includes(purpose) && (!only || purposes.length === 1)) return;
  throw refused(`it must be for ${words}${only ? ' only' : ''}`);
}

function refused(why: string): PosternError {
  return new PosternError('handshake_refused', `the certificate cannot be used: ${why}`);
}
