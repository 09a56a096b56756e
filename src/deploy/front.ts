/**
 * What callers reach, and how it is moved from one instance to another. Two of them: the supervisor's own sockets, on which the instances
 * listen themselves, and nginx, which is told another port.
 */
import type { Clock } from '../clock.ts';
import { sleep } from '../clock.ts';
import { PosternError } from '../errors.ts';
import type { BoundSocket } from './bound-socket.ts';
import type { HandOverStart } from './hand-over.ts';
import type { Instance } from './instance.ts';
import { probe } from './probe.ts';

export interface Front {
  /** What a new instance gets for its HTTP, when these are taken. Descriptors are those of the supervisor. */
  place(others: readonly Instance[]): Promise<{ readonly fd: number } | { readonly port: number }>;
  /** Leads callers to this instance, which listens already. */
  engage(instance: Instance): Promise<void>;
  /** Where a request from outside would go. */
  readonly url: string;
  /** So many answers in a row of the new one prove a switch. */
  readonly verifyTimes: number;
  close(): void;
}

/** Callers come to the socket, whoever listens on it: there is nothing to lead. */
export function createSocketFront(http: BoundSocket): Front {
  const host = http.host === '0.0.0.0' ? '127.0.0.1' : http.host === '::' ? '::1' : http.host;
  return {
    place: () => Promise.resolve({ fd: http.fd }),
    engage: () => Promise.resolve(),
    // The one before it accepts beside it until this is proven.
    verifyTimes: 1,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${http.port}`,
    close: () => http.close(),
  };
}

/** For an instance with an old and a new one beside it, chance decides who answers: so many tries find both. */
const VERIFY_MS = 15_000;
const VERIFY_PAUSE_MS = 50;

export interface VerifyOptions {
  readonly url: string;
  /** As X-Release says it. */
  readonly release: string;
  /** Answers in a row. One proves that it is reached, several that nobody else is. */
  readonly times: number;
  readonly clock: Clock;
}

/** Resolves when new connections through the front are answered by this release. Throws release_unhealthy. */
export async function verifyFront({ url, release, times, clock }: VerifyOptions): Promise<void> {
  const until = clock.monotonic() + VERIFY_MS;
  let inRow = 0;
  while (inRow < times) {
    const answer = await probe({ url });
    const isRight = answer.status === 200 && answer.release === release;
    inRow = isRight ? inRow + 1 : 0;
    if (isRight) continue;
    const last = answer.status === 200 ? `${answer.release ?? 'a gateway without X-Release'} answers` : answer.reason;
    if (clock.monotonic() > until) {
      throw new PosternError('release_unhealthy', `${url} does not lead to ${release} (${last}).`);
    }
    await sleep(clock, VERIFY_PAUSE_MS);
  }
}

/** An instance closes a descriptor with every `listen`: so often it can become active. */
export const DOORS = 4;

/** The descriptors for a child, and how they are numbered in it. */
export function childDoors(
  place: { readonly fd: number } | { readonly port: number },
  tunnelFd: number,
): { readonly stdio: number[]; readonly http: HandOverStart['http']; readonly tunnel: HandOverStart['tunnel'] } {
  const first = 3;
  const stdio: number[] = [];
  const copies = (fd: number): number[] =>
    Array.from({ length: DOORS }, () => {
      stdio.push(fd);
      return first + stdio.length - 1;
    });
  const http = 'fd' in place ? { fds: copies(place.fd) } : { port: place.port };
  return { http, tunnel: { fds: copies(tunnelFd) }, stdio };
}
