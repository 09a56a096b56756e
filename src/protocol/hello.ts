/**
 * The greeting: which version and which limits two peers share, or why they share none. Pure: sockets, certificates and
 * tickets are the owner's business. A mismatch is always a refusal with a reason, never a warning.
 */
import { isErrorCode, PosternError } from '../errors.ts';
import { DEFAULT_LIMITS, PROTOCOL_VERSION } from './limits.ts';
import type { Limits } from './limits.ts';
import type { Hello, Message, Welcome } from './messages.ts';

/** Best first. */
export const SUPPORTED_VERSIONS: readonly number[] = [PROTOCOL_VERSION];

/** The gateway says which versions of a model are to be loaded, and the worker says which lie there unloaded. */
export const DEPLOY = 'deploy';
/** The gateway says which others there are, and gives back credit that it has not used. */
export const GATEWAYS = 'gateways';
/** The gateway keeps leases of sessions that a worker has with gateways out of reach. */
export const KEEP = 'keep';
export const FEATURES: readonly string[] = [DEPLOY, GATEWAYS, KEEP];

/** The smaller of both in each: what holds on a connection, both ways. */
export function minLimits(a: Limits, b: Limits): Limits {
  return {
    maxPayloadBytes: Math.min(a.maxPayloadBytes, b.maxPayloadBytes),
    streamWindowBytes: Math.min(a.streamWindowBytes, b.streamWindowBytes),
    connectionWindowBytes: Math.min(a.connectionWindowBytes, b.connectionWindowBytes),
    maxStreams: Math.min(a.maxStreams, b.maxStreams),
  };
}

/** The peer's best version that is also ours; null: none. */
export function chooseVersion(
  offered: readonly number[],
  supported: readonly number[] = SUPPORTED_VERSIONS,
): number | null {
  return offered.find((version) => supported.includes(version)) ?? null;
}

export type HelloFields = Omit<Hello, 'type' | 'versions' | 'limits'> & { readonly limits?: Limits };

/** A worker's first message. */
export function makeHello(fields: HelloFields): Hello {
  return { ...fields, type: 'hello', versions: [...SUPPORTED_VERSIONS], limits: fields.limits ?? DEFAULT_LIMITS };
}

/** The gateway's look at the first message: the hello and the version to answer with. Throws the reason to refuse. */
export function checkHello(first: Message): { readonly hello: Hello; readonly version: number } {
  if (first.type !== 'hello') throw new PosternError('protocol_error', `expected hello first, got ${first.type}`);
  const version = chooseVersion(first.versions);
  if (version === null) {
    throw new PosternError(
      'version_mismatch',
      `expected one of the versions ${SUPPORTED_VERSIONS.join(', ')}, got ${first.versions.join(', ')}: update the older side`,
    );
  }
  if ((first.role === 'data') !== (first.ticket !== undefined)) {
    throw new PosternError(
      'handshake_refused',
      `a ${first.role} connection ${first.role === 'data' ? 'needs' : 'has no'} ticket`,
    );
  }
  return { hello: first, version };
}

/** The worker's look at the answer to its hello. Throws the gateway's refusal, or its own. */
export function checkWelcome(first: Message): Welcome {
  if (first.type === 'close') {
    throw new PosternError(isErrorCode(first.code) ? first.code : 'handshake_refused', first.message);
  }
  if (first.type !== 'welcome') throw new PosternError('protocol_error', `expected welcome, got ${first.type}`);
  if (!SUPPORTED_VERSIONS.includes(first.version)) {
    throw new PosternError(
      'version_mismatch',
      `expected one of the versions ${SUPPORTED_VERSIONS.join(', ')}, got ${first.version}: update the older side`,
    );
  }
  if (first.deadMs <= first.pingMs) {
    throw new PosternError(
      'protocol_error',
      `dead after ${first.deadMs} ms is not later than a ping at ${first.pingMs} ms`,
    );
  }
  return first;
}
