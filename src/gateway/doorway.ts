/**
 * From an accepted TCP connection to an authenticated `postern/1` connection that has said hello. Everything before that
 * is bounded here: networks, places, time and bytes. Handshakes run beside the accept loop, never inside it.
 *
 * TLS itself lets anybody through, because who enrols has no certificate yet, or one that has ended. What a connection may
 * be is decided in one place, `onSecure`: `postern/1` is for verified certificates of workers in good standing, and for
 * nobody else; `postern-enrol/1` is for one question.
 */
import { constants } from 'node:crypto';
import type { X509Certificate } from 'node:crypto';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import type { Clock, Timer } from '../clock.ts';
import { PosternError } from '../errors.ts';
import type { WorkerIdentity } from '../identity/peer.ts';
import type { TunnelIdentity } from '../identity/tunnel-identity.ts';
import { closeFrame } from '../protocol/connection.ts';
import { ALPN, CLOSE_FLUSH_MS, ENROL_ALPN } from '../protocol/limits.ts';
import { addressKey, createAdmission } from './admission.ts';
import type { AdmissionLimits } from './admission.ts';
import { listenAt, type Door } from './door.ts';
import type { EnrolArrival } from './enrol.ts';

/** A TLS connection whose client certificate names a worker, and which still occupies its place. */
export interface Arrival {
  readonly socket: TLSSocket;
  readonly worker: WorkerIdentity;
  readonly certificate: X509Certificate;
  readonly address: string;
  /** The hello was accepted: frees the place and stops the deadline. */
  readonly settle: () => void;
}

export interface Doorway {
  readonly port: number;
  readonly activeCount: number;
  readonly waitingCount: number;
  open(door: Door): Promise<void>;
  /** Stops accepting and drops what has not settled; resolves when the last connection is gone. */
  close(): Promise<void>;
}

export interface DoorwayOptions {
  readonly identity: Pick<TunnelIdentity, 'tls' | 'onTls' | 'access'>;
  /** May this address connect at all? Asked before anything is read. */
  readonly mayConnect: (address: string | undefined) => boolean;
  readonly clock: Clock;
  readonly admission: AdmissionLimits;
  /** From the begin of the handshake until `settle`. */
  readonly helloTimeoutMs: number;
  /** For a place. Longer than workers wait for a dial, so that none is dropped whose handshake is still wanted. */
  readonly waitTimeoutMs: number;
  readonly onArrival: (arrival: Arrival) => void;
  /** Somebody to enrol; keeps its place and its deadline to the end. */
  readonly onEnrol: (arrival: EnrolArrival) => void;
  /** Somebody was turned away before a hello. */
  readonly onRefused: (error: PosternError, address: string) => void;
}

/** The kernel's queue of connections not yet accepted, so that a thousand workers may come back at once. */
const BACKLOG = 1_024;

interface Newcomer {
  readonly raw: Socket;
  readonly settle: () => void;
}

export function createDoorway(options: DoorwayOptions): Doorway {
  const { clock, identity, onRefused } = options;
  const admission = createAdmission(options.admission);
  /** By remote address and port, which is how the TLS server's events are matched to them. */
  const newcomers = new Map<string, Newcomer>();
  let closed: Promise<void> | undefined;

  const tls = createTlsServer({
    ...contextOf(identity),
    requestCert: true,
    // Judged in onSecure.
    rejectUnauthorized: false,
    ALPNProtocols: [ALPN, ENROL_ALPN],
  });
  const endTls = identity.onTls(() => tls.setSecureContext(contextOf(identity)));
  tls.on('secureConnection', onSecure);
  tls.on('tlsClientError', (error, socket) => {
    onRefused(new PosternError('handshake_refused', error.message, { cause: error }), addressKey(socket.remoteAddress));
  });

  // pauseOnConnect: a connection that waits for its place is not read, so it costs a file descriptor and no memory.
  const tcp: Server = createServer({ pauseOnConnect: true, noDelay: true }, onAccept);

  /** Those that have a place, on their way to TLS. */
  const beginning: Socket[] = [];

  /**
   * One handshake a turn of the event loop: each is about a millisecond of cryptography, and all that are let in at once would
   * hold up the messages of the workers that are in. No handshake waits for time here, only for its turn.
   */
  function begin(raw: Socket): void {
    beginning.push(raw);
    if (beginning.length === 1) setImmediate(beginNext);
  }

  function beginNext(): void {
    const raw = beginning.shift();
    if (raw && !raw.destroyed) tls.emit('connection', raw);
    if (beginning.length > 0) setImmediate(beginNext);
  }

  function onAccept(raw: Socket): void {
    const address = addressKey(raw.remoteAddress);
    const key = keyOf(raw);
    raw.on('error', () => undefined);
    if (!options.mayConnect(raw.remoteAddress)) {
      onRefused(new PosternError('handshake_refused', 'this address is not in POSTERN_TUNNEL_ALLOW'), address);
      raw.resetAndDestroy();
      return;
    }
    let deadline = within(options.waitTimeoutMs, 'no place for a handshake');
    function within(durationMs: number, what: string): Timer {
      return clock.after(durationMs, () => {
        onRefused(new PosternError('handshake_timeout', `${what} within ${durationMs} ms`), address);
        raw.destroy();
      });
    }
    const place = admission.admit(address, () => {
      deadline.cancel();
      deadline = within(options.helloTimeoutMs, 'no accepted hello');
      begin(raw);
    });
    if (place === null) {
      deadline.cancel();
      onRefused(new PosternError('overloaded', 'too many connections wait to shake hands'), address);
      raw.resetAndDestroy();
      return;
    }
    const settle = (): void => {
      deadline.cancel();
      place.leave();
      newcomers.delete(key);
    };
    newcomers.set(key, { raw, settle });
    raw.once('close', settle);
  }

  function onSecure(socket: TLSSocket): void {
    socket.on('error', () => undefined);
    const newcomer = newcomers.get(keyOf(socket));
    const address = addressKey(socket.remoteAddress);
    try {
      if (!newcomer) throw new PosternError('handshake_timeout', 'the handshake outlived its deadline');
      if (socket.isSessionReused()) throw new PosternError('handshake_refused', 'TLS sessions are not resumed here');
      const certificate = socket.getPeerX509Certificate();
      if (socket.alpnProtocol === ENROL_ALPN) {
        options.onEnrol({ socket, certificate, address });
        return;
      }
      checkProtocol(socket);
      if (!certificate) throw new PosternError('handshake_refused', 'the client showed no certificate');
      checkVerified(socket);
      const worker = admit(socket, certificate);
      if (worker !== null) options.onArrival({ socket, worker, certificate, address, settle: newcomer.settle });
    } catch (error) {
      socket.destroy();
      if (!(error instanceof PosternError)) throw error;
      onRefused(error, address);
    }
  }

  /** The worker; null: its certificate is verified, but it may not come in, and is told why before it is turned away. */
  function admit(socket: TLSSocket, certificate: X509Certificate): WorkerIdentity | null {
    try {
      return identity.access.admit(certificate);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      onRefused(error, addressKey(socket.remoteAddress));
      // What it sends is thrown away and nobody sees it. Left lying, it would make the close a reset, which can eat the reason.
      socket.resume();
      socket.end(closeFrame(error.code, error.message));
      const late = clock.after(CLOSE_FLUSH_MS, () => socket.destroy());
      socket.once('close', () => late.cancel());
      return null;
    }
  }

  return {
    get port() {
      return (tcp.address() as AddressInfo | null)?.port ?? 0;
    },
    get activeCount() {
      return admission.activeCount;
    },
    get waitingCount() {
      return admission.waitingCount;
    },
    open: (door) => listen(tcp, door),
    close() {
      if (closed) return closed;
      // Accepting stops at once; the promise waits for every connection, also for those that settled and that their owners end.
      closed = new Promise<void>((resolve) => tcp.close(() => resolve()));
      endTls();
      for (const { raw } of newcomers.values()) raw.destroy();
      return closed;
    },
  };
}

/** Of the gateway's certificate, its trust, and TLS itself. Used at the start and whenever one of them is replaced. */
function contextOf({ tls }: Pick<TunnelIdentity, 'tls'>): SecureContextOptions {
  return {
    key: tls.keyPem,
    cert: tls.certPem,
    ca: [...tls.trustPems],
    ...(tls.crlPem === null ? {} : { crl: tls.crlPem }),
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    // A resumed session can skip the client's certificate. With this option tickets are mere ids in a cache that is not kept.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

function checkProtocol(socket: TLSSocket): void {
  if (socket.alpnProtocol !== ALPN) {
    const got = socket.alpnProtocol === false ? 'none' : String(socket.alpnProtocol);
    throw new PosternError('version_mismatch', `expected the application protocol ${ALPN}, got ${got}`);
  }
}

function checkVerified(socket: TLSSocket): void {
  if (socket.authorized) return;
  // An Error by its type, a code of OpenSSL in fact.
  const why = String(socket.authorizationError ?? 'unknown').slice(0, 80);
  throw new PosternError('handshake_refused', `the client has no certificate that counts here (${why})`);
}

function keyOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0}`;
}

async function listen(server: Server, door: Door): Promise<void> {
  const where = 'fd' in door ? 'the inherited socket' : `${door.host}:${door.port}`;
  try {
    await listenAt(server, door, BACKLOG);
  } catch (thrown) {
    const error = thrown as NodeJS.ErrnoException;
    if (error.code !== 'EADDRINUSE') {
      const advice = 'check the address that workers dial';
      const reason = `cannot listen on ${where} (${error.message}): ${advice}`;
      throw new PosternError('config_invalid', reason, { cause: error });
    }
    const advice = 'stop the program that has it, or choose another port';
    throw new PosternError('address_in_use', `${where} is taken: ${advice}`, { cause: error });
  }
  // Accepting can fail for want of file descriptors; those already connected go on.
  server.on('error', () => undefined);
}
