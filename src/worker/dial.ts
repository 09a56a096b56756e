/** One connection to a gateway: TCP, mutual TLS, and the checks that TLS leaves to the application. */
import type { X509Certificate } from 'node:crypto';
import { connect, createSecureContext } from 'node:tls';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import { checkGatewayCertificate, GATEWAY_SERVER_NAME } from '../identity/peer.ts';
import type { WorkerCredentials } from '../identity/worker.ts';
import { ALPN } from '../protocol/limits.ts';
import type { Target } from './targets.ts';

/** Which gateways are the right ones, beside that their certificate comes from a trusted authority. */
export interface GatewayRule {
  /** The name that its certificate must carry. */
  readonly name: string;
  /** Its certificate may be for server authentication only, as an own authority makes them. */
  readonly strict: boolean;
}

/** The authority signs gateways under one fixed name, so any address, tunnel or NAT in between is fine. */
export const OWN_GATEWAY: GatewayRule = { name: GATEWAY_SERVER_NAME, strict: true };

export interface DialOptions extends Target {
  /** From {@link createDialContext}. */
  readonly context: SecureContext;
  readonly clock: Clock;
  /** For name resolution, TCP and TLS together. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** The application protocol; `postern/1` unless somebody enrols. */
  readonly protocol?: string;
  /** Default: a gateway of an own authority. */
  readonly gateway?: GatewayRule;
  /** Told of the gateway's certificate: Node hands it out once for each connection, and the checks here need it. */
  onCertificate?(certificate: X509Certificate): void;
}

/** The worker's key and certificate and the authority it trusts, parsed: made once, used by every dial. */
export function createDialContext(identity: Pick<WorkerCredentials, 'keyPem' | 'certPem' | 'caPem'>): SecureContext {
  const { keyPem: key, certPem: cert, caPem: ca } = identity;
  return createSecureContext({ key, cert, ca, minVersion: 'TLSv1.3' });
}

/**
 * Resolves with a TLS connection whose other end is a gateway of the same authority. Rejects with `unreachable` (not there
 * now) or `handshake_refused` (there, but not to be trusted). That the gateway accepts the worker's certificate shows only
 * when it answers the hello: in TLS 1.3 a client is done before it was judged.
 */
export function dialGateway(options: DialOptions): Promise<TLSSocket> {
  const { host, port, signal, protocol = ALPN, gateway = OWN_GATEWAY } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(new PosternError('connection_lost', 'the dial was called off'));
      return;
    }
    const socket = connect({
      host,
      port,
      servername: gateway.name,
      secureContext: options.context,
      ALPNProtocols: [protocol],
    });
    socket.setNoDelay(true);
    const timer = options.clock.after(options.timeoutMs, () =>
      fail(new PosternError('unreachable', `${host}:${port} did not answer within ${options.timeoutMs} ms`)),
    );
    const onAbort = (): void => fail(new PosternError('connection_lost', 'the dial was called off'));
    const onError = (error: Error): void => fail(explainDialError(error, host, port));
    const onSecure = (): void => {
      try {
        const certificate = checkGateway(socket, protocol, gateway);
        options.onCertificate?.(certificate);
      } catch (error) {
        fail(error as PosternError);
        return;
      }
      release();
      resolve(socket);
    };
    function release(): void {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
      socket.off('error', onError);
      socket.off('secureConnect', onSecure);
    }
    function fail(error: PosternError): void {
      release();
      socket.on('error', () => undefined);
      socket.destroy();
      reject(error);
    }
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.once('error', onError);
    socket.once('secureConnect', onSecure);
  });
}

function checkGateway(socket: TLSSocket, protocol: string, gateway: GatewayRule): X509Certificate {
  if (socket.alpnProtocol !== protocol) {
    throw new PosternError(
      'version_mismatch',
      `the other end does not speak ${protocol}: is this the gateway's tunnel port?`,
    );
  }
  const certificate = socket.getPeerX509Certificate();
  if (!certificate) throw new PosternError('handshake_refused', 'the gateway showed no certificate');
  checkGatewayCertificate(certificate, gateway.strict);
  return certificate;
}

/** What the operating system and OpenSSL say, as what happened and what to do. */
export function explainDialError(error: Error & { code?: string }, host: string, port: number): PosternError {
  const code = error.code ?? '';
  const where = `${host}:${port}`;
  const advice: Record<string, string> = {
    ENOTFOUND: `the name ${host} does not resolve: check TARGET_HOST and the machine's DNS`,
    EAI_AGAIN: `the name ${host} cannot be resolved now: check the machine's network and DNS`,
    ECONNREFUSED: `nothing listens on ${where}: is the gateway running, and is TARGET_PORT right?`,
    ETIMEDOUT: `${where} does not answer: check the address and the firewalls between`,
    EHOSTUNREACH: `there is no route to ${host}: check the network`,
    ENETUNREACH: `there is no route to ${host}: check the network`,
    ECONNRESET: `${where} hung up in the handshake: is this the gateway's tunnel port?`,
    EPROTO: `${where} does not speak TLS 1.3: is this the gateway's tunnel port?`,
  };
  // OpenSSL has a code of its own for each way of not being what was expected.
  const words = advice[code] ?? (code.startsWith('ERR_SSL_') ? advice.EPROTO : undefined) ?? error.message;
  const untrusted = /CERT|ALTNAME|SELF_SIGNED|UNABLE_TO|SIGNATURE|INVALID_PURPOSE/.test(code);
  if (!untrusted) return new PosternError('unreachable', words, { cause: error });
  const message = `the certificate of ${where} is not from this worker's gateway (${error.message}): do both have the same CA?`;
  return new PosternError('handshake_refused', message, { cause: error });
}
