/** The control socket: commands from people and deploys, and the connections of instances. Owner of the socket and of nothing else. */
import { chmod, mkdir, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { PosternError, toPosternError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { createService, type Service } from '../service.ts';
import { report, type Report } from './hand-over.ts';
import { readLines, sendLine } from './json-lines.ts';

export type Command = Readonly<Record<string, unknown>> & { readonly command: string };
export type Tell = (step: string, text: string) => void;

export interface ControlServerOptions {
  readonly path: string;
  readonly logger: Logger;
  readonly onCommand: (command: Command, tell: Tell) => Promise<object>;
  /** False: this instance is none of ours, and the connection is closed. */
  readonly onReport: (report: Report, socket: Socket) => boolean;
}

/** Commands and instances at once. People have a handful. */
const MAX_CONNECTIONS = 64;

export function createControlServer({ path, logger, onCommand, onReport }: ControlServerOptions): Service {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    let isBusy = false;
    readLines(socket, {
      onBroken: (why) => logger.warn('a message on the control socket was refused', { reason: why }),
      onMessage(message) {
        if (message.type === 'instance') {
          const parsed = report.safeParse(message);
          if (!parsed.success || !onReport(parsed.data, socket)) socket.destroy();
          return;
        }
        if (isBusy) return;
        isBusy = true;
        void answer(socket, message);
      },
    });
  });
  server.maxConnections = MAX_CONNECTIONS;

  async function answer(socket: Socket, message: Readonly<Record<string, unknown>>): Promise<void> {
    try {
      const { command } = message;
      if (typeof command !== 'string') throw new PosternError('bad_request', 'Expected a "command".');
      const tell: Tell = (step, text) => sendLine(socket, { type: 'progress', step, text });
      sendLine(socket, { ...(await onCommand({ ...message, command }, tell)), type: 'result' });
    } catch (thrown) {
      const error = toPosternError(thrown);
      if (error.code === 'internal') logger.error('a command failed', { command: message.command, error });
      sendLine(socket, { type: 'error', code: error.code, message: error.message });
    }
    socket.end();
  }

  return createService({
    async start() {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      // The supervisor's lock is held: whoever made this one is gone.
      await rm(path, { force: true });
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(path, resolve);
      });
      await chmod(path, 0o600);
    },
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  });
}
