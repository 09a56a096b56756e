/**
 * The port that other gateways dial: mutual TLS 1.3, and nobody but gateways of this installation. Owner of the listening socket; what
 * comes over it is HTTP, and belongs to who is given the sockets.
 */
import { constants } from 'node:crypto';
import { createServer, type SecureContextOptions, type TLSSocket } from 'node:tls';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../../clock.ts';
import { PosternError, toPosternError } from '../../errors.ts';
import { readGatewayCertificate } from '../../identity/peer.ts';
import type { PeerCertificate, PeerTls } from '../../identity/peer-certificate.ts';
import type { Logger } from '../../logger.ts';
import { listenAt } from '../door.ts';

/** While a release is switched two processes of one machine are beside each other, and one that was killed keeps its port for a moment. */
export const PEER_PORTS = 16;
const HANDSHAKE_MS = 5_000;
/** Fifty gateways with forty connections each. More are closed at once, and who dialled asks another one. */
const MAX_CONNECTIONS = 2_048;

export interface PeerListenerOptions {
  readonly host: string;
  /** 0: the system chooses. Another: the first free of {@link PEER_PORTS} from it on. */
  readonly port: number;
  readonly certificate: PeerCertificate;
  /** `id`: which gateway it is. */
  readonly onPeer: (socket: TLSSocket, id: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface PeerListener {
  readonly port: number;
  /** Rejects with address_in_use or config_invalid. */
  open(): Promise<void>;
  /** Accepts no more; connections stay. */
  close(): void;
}

/** Of both ends. */
export function peerContext({ keyPem, certPem, trustPems }: PeerTls): SecureContextOptions {
  return {
    key: keyPem,
    cert: certPem,
    ca: [...trustPems],
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    // As at the tunnel port: a resumed session could skip the certificate.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

export function createPeerListener(options: PeerListenerOptions): PeerListener {
  const { certificate, clock, logger } = options;
  const server = createServer({
    ...(certificate.tls === null ? {} : peerContext(certificate.tls)),
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: HANDSHAKE_MS,
    ALPNProtocols: ['http/1.1'],
    noDelay: true,
  });
  server.maxConnections = MAX_CONNECTIONS;
  const endTls = certificate.onTls(() => server.setSecureContext(peerContext(certificate.tls!)));
  server.on('tlsClientError', (error, socket) => refused(error, socket.remoteAddress));
  server.on('secureConnection', (socket) => {
    socket.on('error', () => undefined);
    try {
      if (socket.isSessionReused()) throw new PosternError('handshake_refused', 'TLS sessions are not resumed here');
      const shown = socket.getPeerX509Certificate();
      if (!socket.authorized || shown === undefined)
        throw new PosternError('handshake_refused', 'no certificate that counts');
      options.onPeer(socket, readGatewayCertificate(shown, clock.now()));
    } catch (error) {
      socket.destroy();
      refused(error, socket.remoteAddress);
    }
  });

  function refused(error: unknown, address: string | undefined): void {
    logger.warn('a connection to the port for gateways was refused', { address, error: toPosternError(error).message });
  }

  return {
    get port() {
      return (server.address() as AddressInfo | null)?.port ?? 0;
    },
    async open() {
      const { host, port } = options;
      const last = port === 0 ? 0 : Math.min(port + PEER_PORTS - 1, 65_535);
      for (let next = port; ; next += 1) {
        try {
          await listenAt(server, { host, port: next });
          break;
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE' && next < last) continue;
          throw explain(error, host, port);
        }
      }
      server.on('error', () => undefined);
    },
    close() {
      endTls();
      if (server.listening) server.close();
    },
  };
}

function explain(error: unknown, host: string, port: number): PosternError {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') {
    const why = `the ${PEER_PORTS} ports from ${port} on ${host} are taken: choose others with POSTERN_PEER_PORT`;
    return new PosternError('address_in_use', why, { cause: error });
  }
  const why = `cannot listen for other gateways on ${host}:${port} (${message}): correct POSTERN_PEER_HOST or POSTERN_PEER_PORT`;
  return new PosternError('config_invalid', why, { cause: error });
}
