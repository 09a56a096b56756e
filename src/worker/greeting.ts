/** The worker's half of the hello: says who it is on a new connection and waits for the welcome. */
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../clock.ts';
import { PosternError, toPosternError } from '../errors.ts';
import type { ByteBudget } from '../protocol/budget.ts';
import { openConnection } from '../protocol/connection.ts';
import type { Connection, ConnectionHandlers } from '../protocol/connection.ts';
import { checkWelcome, FEATURES, makeHello } from '../protocol/hello.ts';
import type { HelloFields } from '../protocol/hello.ts';
import type { Limits } from '../protocol/limits.ts';
import type { Message, Welcome } from '../protocol/messages.ts';

export interface GreetOptions {
  readonly clock: Clock;
  readonly limits: Limits;
  /** Shared by all connections of the link. */
  readonly budget: ByteBudget;
  readonly timeoutMs: number;
  readonly hello: Omit<HelloFields, 'limits'>;
  /** Called in the very step in which the welcome came, so that nothing behind it is missed. */
  onWelcome(connection: Connection, welcome: Welcome): ConnectionHandlers;
}

/** Resolves once `onWelcome` ran. Rejects with the gateway's reason when it refused, handshake_timeout when it was silent. */
export function greet(socket: TLSSocket, options: GreetOptions): Promise<Connection> {
  return new Promise((resolve, reject) => {
    let handlers: ConnectionHandlers | null = null;
    const connection = openConnection(socket, {
      clock: options.clock,
      limits: options.limits,
      budget: options.budget,
      handlers: {
        onMessage(message, payload) {
          if (handlers) {
            handlers.onMessage(message, payload);
          } else {
            accept(message);
          }
        },
        onClose(error) {
          deadline.cancel();
          if (handlers) handlers.onClose(error);
          else reject(explainRefusal(error));
        },
      },
    });
    function accept(message: Message): void {
      try {
        const welcome = checkWelcome(message);
        deadline.cancel();
        connection.establish(welcome.limits, { pingMs: welcome.pingMs, deadMs: welcome.deadMs });
        handlers = options.onWelcome(connection, welcome);
        resolve(connection);
      } catch (error) {
        connection.destroy(toPosternError(error));
      }
    }
    const deadline = options.clock.after(options.timeoutMs, () => {
      const reason = `the gateway did not answer the hello within ${options.timeoutMs} ms`;
      connection.destroy(new PosternError('handshake_timeout', reason));
    });
    connection.send(makeHello({ ...options.hello, limits: options.limits, features: [...FEATURES] }));
  });
}

/** A gateway drops a certificate that it does not accept without a word, so the worker can only say what is likely. */
function explainRefusal(error: PosternError | null): PosternError {
  if (error && error.code !== 'connection_lost') return error;
  const reason =
    'the gateway hung up instead of a welcome: it is overloaded or restarting, or it rejects this certificate (expired? of another CA?); its log says which';
  return new PosternError('connection_lost', reason, { cause: error ?? undefined });
}
