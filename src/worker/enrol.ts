/** The asking end of `postern-enrol/1`: one question to a gateway, one answer. */
import type { X509Certificate } from 'node:crypto';
import { connect, createSecureContext } from 'node:tls';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import { authorityDigestOf } from '../identity/fingerprint.ts';
import { openConnection } from '../protocol/connection.ts';
import { DEFAULT_LIMITS, ENROL_ALPN, HELLO_TIMEOUT_MS } from '../protocol/limits.ts';
import type { Message, MessageOf } from '../protocol/messages.ts';
import { dialGateway, explainDialError } from './dial.ts';
import type { GatewayRule } from './dial.ts';

export interface EnrolTarget {
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** A certificate and its authority: there is nothing deeper here, and a chain of a stranger may be a circle. */
const MAX_CHAIN = 4;

/**
 * Connects only to look at who is there, and returns the authority (PEM) with this digest from the certificates that were
 * shown. Nothing is sent. Whether the gateway holds a certificate of that authority, the next connection verifies.
 * Rejects with handshake_refused when the authority is another one.
 */
export function fetchAuthority(target: EnrolTarget, digest: string): Promise<string> {
  const { host, port, clock, timeoutMs } = target;
  return new Promise((resolve, reject) => {
    // Verified by the digest, a few lines down; the name and the dates by the connection that follows.
    const socket = connect({ host, port, ALPNProtocols: [ENROL_ALPN], rejectUnauthorized: false });
    const finish = (end: () => void): void => {
      late.cancel();
      socket.removeAllListeners();
      socket.on('error', () => undefined);
      // In order, so that the gateway does not take it for a handshake that failed.
      socket.destroySoon();
      end();
    };
    const fail = (error: PosternError): void => finish(() => reject(error));
    const late = clock.after(timeoutMs, () =>
      fail(new PosternError('unreachable', `${host}:${port} did not answer within ${timeoutMs} ms`)),
    );
    socket.once('error', (error: Error) => fail(explainDialError(error, host, port)));
    socket.once('close', () => fail(new PosternError('unreachable', `${host}:${port} hung up in the handshake`)));
    socket.once('secureConnect', () => {
      const authority = findAuthority(socket, digest);
      if (authority !== null) finish(() => resolve(authority.toString()));
      else {
        fail(
          new PosternError(
            'handshake_refused',
            `${host}:${port} is not the gateway that made this invitation: its certificate comes from another authority, and nothing was sent`,
          ),
        );
      }
    });
  });
}

function findAuthority(socket: TLSSocket, digest: string): X509Certificate | null {
  let certificate = socket.getPeerX509Certificate();
  for (let depth = 0; certificate !== undefined && depth < MAX_CHAIN; depth += 1) {
    if (certificate.ca && authorityDigestOf(certificate) === digest) return certificate;
    certificate = certificate.issuerCertificate;
  }
  return null;
}

/** A context for somebody who has no certificate yet. */
export const strangerContext = (authorityPem: string): SecureContext =>
  createSecureContext({ ca: authorityPem, minVersion: 'TLSv1.3' });

/** Sends the question to a verified gateway and resolves with its answer. Rejects with the gateway's reason. */
export async function askGateway<T extends 'joined' | 'renewed'>(
  target: EnrolTarget & { readonly context: SecureContext; readonly gateway?: GatewayRule },
  question: MessageOf<'join'> | MessageOf<'renew'>,
  expected: T,
): Promise<MessageOf<T>> {
  const { clock } = target;
  const socket = await dialGateway({ ...target, protocol: ENROL_ALPN });
  return new Promise((resolve, reject) => {
    const isAnswer = (message: Message): message is MessageOf<T> => message.type === expected;
    const connection = openConnection(socket, {
      clock,
      limits: DEFAULT_LIMITS,
      handlers: {
        onMessage(message) {
          late.cancel();
          if (isAnswer(message)) resolve(message);
          else reject(new PosternError('protocol_error', `expected ${expected}, got ${message.type}`));
          connection.destroy();
        },
        onClose(error) {
          late.cancel();
          reject(error ?? new PosternError('connection_lost', 'the gateway hung up before it answered'));
        },
      },
    });
    const late = clock.after(HELLO_TIMEOUT_MS, () =>
      connection.destroy(new PosternError('handshake_timeout', `no answer within ${HELLO_TIMEOUT_MS} ms`)),
    );
    connection.send(question);
  });
}
