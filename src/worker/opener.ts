/** Opens connections of a link: one dial, one hello, one welcome. */
import type { Clock } from '../clock.ts';
import { PosternError } from '../errors.ts';
import type { ByteBudget } from '../protocol/budget.ts';
import type { Connection, ConnectionHandlers } from '../protocol/connection.ts';
import type { HelloFields } from '../protocol/hello.ts';
import type { Welcome } from '../protocol/messages.ts';
import type { LinkCredentials } from './credentials.ts';
import { dialGateway } from './dial.ts';
import { greet } from './greeting.ts';
import { LINK_DEFAULTS } from './link-config.ts';
import type { LinkSettings } from './link-config.ts';
import type { Target } from './targets.ts';

export interface OpenerOptions {
  readonly target: Target;
  readonly settings: LinkSettings;
  readonly credentials: LinkCredentials;
  readonly session: string;
  readonly clock: Clock;
  readonly budget: ByteBudget;
}

/** What a hello says beside what it always says. */
export interface Introduction extends Pick<HelloFields, 'role' | 'epoch' | 'ticket'> {
  readonly previous?: readonly string[];
  readonly linked?: readonly string[];
}

/** Resolves once `onWelcome` ran. Rejects with why there is no connection. `introduction` is asked for last. */
export type Opener = (
  introduction: () => Introduction,
  signal: AbortSignal,
  onWelcome: (connection: Connection, welcome: Welcome) => ConnectionHandlers,
) => Promise<Connection>;

export function createOpener({ target, settings, credentials, session, clock, budget }: OpenerOptions): Opener {
  const config = { ...LINK_DEFAULTS, ...settings };
  return async (introduction, signal, onWelcome) => {
    const context = await credentials.context(signal);
    const { gateway } = credentials;
    const timeoutMs = config.dialTimeoutMs;
    const socket = await dialGateway({ ...target, context, gateway, clock, timeoutMs, signal });
    if (signal.aborted) {
      // Between the dial, which has ended, and here: nobody would hear of it any more.
      socket.destroy();
      throw new PosternError('connection_lost', 'the dial was called off');
    }
    const onAbort = (): void => void socket.destroy();
    signal.addEventListener('abort', onAbort, { once: true });
    const { previous = [], linked = [], ...rest } = introduction();
    const lists = {
      ...(previous.length === 0 ? {} : { previous: [...previous] }),
      ...(linked.length === 0 ? {} : { linked: [...linked] }),
    };
    try {
      return await greet(socket, {
        clock,
        limits: config.limits,
        budget,
        timeoutMs: config.helloTimeoutMs,
        hello: { ...rest, session, agent: config.agent, ...lists },
        onWelcome,
      });
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  };
}
