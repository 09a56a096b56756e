/** One request to the supervisor: for the commands, on the machine itself. */
import { connect } from 'node:net';
import { isErrorCode, PosternError } from '../errors.ts';
import { readLines, sendLine } from './json-lines.ts';
import type { Layout } from './layout.ts';

export type Progress = (step: string, text: string) => void;

/** Resolves with the result; rejects with what the supervisor says, or with supervisor_unreachable. */
export function askSupervisor(
  layout: Layout,
  request: Readonly<Record<string, unknown>> & { readonly command: string },
  onProgress: Progress = () => undefined,
): Promise<Readonly<Record<string, unknown>>> {
  return new Promise((resolve, reject) => {
    const socket = connect(layout.controlSocket);
    const fail = (why: string): void => {
      socket.destroy();
      const todo = 'start it (postern supervise, or its unit), or correct POSTERN_DEPLOY_DIR';
      reject(new PosternError('supervisor_unreachable', `The supervisor of ${layout.root} ${why}: ${todo}.`));
    };
    socket.once('error', (error) =>
      fail(`does not answer (${(error as NodeJS.ErrnoException).code ?? error.message})`),
    );
    socket.once('close', () => fail('went away in the middle; what served before serves, see postern releases'));
    socket.once('connect', () => sendLine(socket, request));
    readLines(socket, {
      onBroken: (why) => fail(`speaks another language (${why})`),
      onMessage(message) {
        if (message.type === 'progress') {
          onProgress(String(message.step), String(message.text));
          return;
        }
        socket.removeAllListeners('close');
        socket.destroy();
        if (message.type === 'result') resolve(message);
        else {
          const code = isErrorCode(message.code) ? message.code : 'internal';
          reject(new PosternError(code, String(message.message)));
        }
      },
    });
  });
}
