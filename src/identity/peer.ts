/** Who the other end is, read from the certificate that it proved to hold. Nothing here trusts a message. */
import type { X509Certificate } from 'node:crypto';
import { PosternError } from '../errors.ts';
import { workerName } from '../protocol/messages.ts';

/**
 * The name that every gateway's certificate carries, and that workers check instead of the host name which they dialled:
 * the authority signs for this purpose only, and addresses, tunnels and NAT change without a new certificate.
 */
export const GATEWAY_SERVER_NAME = 'postern-gateway';

const WORKER_URI = 'postern://worker/';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

export interface WorkerIdentity {
  readonly name: string;
  /** Epoch ms. */
  readonly certificateEndsAt: number;
}

export function workerUri(name: string): string {
  return WORKER_URI + name;
}

/**
 * The worker that a certificate names: its only alternative name is `postern://worker/<name>`, and it may be used for
 * client authentication only. The chain was verified by TLS; dates are checked here too, because a connection may outlive
 * the handshake's check. Throws handshake_refused.
 */
export function readWorkerCertificate(certificate: X509Certificate, now: number): WorkerIdentity {
  const names = certificate.subjectAltName ?? '';
  const prefix = `URI:${WORKER_URI}`;
  const name = names.startsWith(prefix) ? names.slice(prefix.length) : '';
  if (!workerName.safeParse(name).success) {
    throw refused('its only alternative name must be postern://worker/<name>');
  }
  checkPurpose(certificate, CLIENT_AUTH, 'client authentication');
  if (certificate.validFromDate.getTime() > now) throw refused(`it is not valid before ${certificate.validFrom}`);
  const certificateEndsAt = certificate.validToDate.getTime();
  if (certificateEndsAt <= now) throw refused(`it ended on ${certificate.validTo}`);
  return { name, certificateEndsAt };
}

/** Checks that a certificate is a gateway's. The chain and the name were verified by TLS. Throws handshake_refused. */
export function checkGatewayCertificate(certificate: X509Certificate): void {
  checkPurpose(certificate, SERVER_AUTH, 'server authentication');
}

/** TLS accepts a certificate without any purpose; here it must state exactly one, and not be an authority's. */
function checkPurpose(certificate: X509Certificate, purpose: string, words: string): void {
  // The types forget that a certificate without the extension gives undefined.
  const purposes = (certificate.keyUsage as string[] | undefined) ?? [];
  if (certificate.ca || purposes.length !== 1 || purposes[0] !== purpose) throw refused(`it must be for ${words} only`);
}

function refused(why: string): PosternError {
  return new PosternError('handshake_refused', `the certificate cannot be used: ${why}`);
}
