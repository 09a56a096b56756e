/**
 * The enrolment end of the tunnel port (`postern-enrol/1`): one question, one answer, and the connection is over. Whoever
 * asks may be a stranger, so nothing else can be said here: no session, no other message, 4 KiB, and the doorway's deadline.
 */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../clock.ts';
import { PosternError, toPosternError } from '../errors.ts';
import type { Enrolment } from '../identity/enrolment.ts';
import type { Logger } from '../logger.ts';
import { openConnection } from '../protocol/connection.ts';
import type { Connection } from '../protocol/connection.ts';
import { DEFAULT_LIMITS } from '../protocol/limits.ts';
import type { Message } from '../protocol/messages.ts';
import { createThrottle } from './enrol-throttle.ts';

/** A TLS connection for enrolment. Its certificate, if it has one, is not verified yet. */
export interface EnrolArrival {
  readonly socket: TLSSocket;
  readonly certificate: X509Certificate | undefined;
  readonly address: string;
}

export interface EnrolDeskOptions {
  readonly enrolment: Enrolment;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onRefused: (error: PosternError, address: string) => void;
}

export interface EnrolDesk {
  serve(arrival: EnrolArrival): void;
  close(): void;
}

export function createEnrolDesk({ enrolment, clock, logger, onRefused }: EnrolDeskOptions): EnrolDesk {
  const throttle = createThrottle(clock);
  const connections = new Set<Connection>();

  async function answer({ certificate, address }: EnrolArrival, question: Message): Promise<Message> {
    if (question.type === 'join') {
      const issued = await enrolment.join(question.token, question.request, address);
      logger.info('worker joined', { worker: issued.worker.name, address });
      return {
        type: 'joined',
        worker: issued.worker.name,
        certificate: issued.certificate,
        authorities: [...issued.authorities],
      };
    }
    if (question.type === 'renew') {
      if (certificate === undefined) {
        throw new PosternError('handshake_refused', 'the client showed no certificate to be renewed');
      }
      const issued = await enrolment.renew(certificate, question.request);
      logger.info('certificate renewed late', { worker: issued.worker.name, address });
      return { type: 'renewed', certificate: issued.certificate, authorities: [...issued.authorities] };
    }
    throw new PosternError('protocol_error', `expected join or renew, got ${question.type}`);
  }

  return {
    serve(arrival) {
      const { socket, address } = arrival;
      let asked = false;
      const connection = openConnection(socket, {
        clock,
        limits: DEFAULT_LIMITS,
        handlers: {
          onMessage(message) {
            // A second message before the answer is the connection's own to refuse.
            if (asked) return;
            asked = true;
            void respond(message);
          },
          onClose(error) {
            connections.delete(connection);
            // Who joins looks first who is there, and leaves without a word.
            if (error && !asked && error.code !== 'connection_lost') onRefused(error, address);
          },
        },
      });
      connections.add(connection);

      async function respond(message: Message): Promise<void> {
        const waitMs = throttle.take(address);
        try {
          if (waitMs > 0) {
            const retryAfterS = Math.ceil(waitMs / 1000);
            throw new PosternError('overloaded', `too many failed attempts: try again in ${retryAfterS} s`, {
              retryAfterS,
            });
          }
          connection.send(await answer(arrival, message));
          throttle.giveBack(address);
          connection.close('draining', 'that was all');
        } catch (thrown) {
          const error = toPosternError(thrown);
          onRefused(error, address);
          // What went wrong inside is for the log here, not for strangers.
          connection.close(error.code, error.code === 'internal' ? error.title : error.message);
        }
      }
    },
    close() {
      for (const connection of connections) connection.destroy();
    },
  };
}
