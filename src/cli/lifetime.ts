/** How a command stays alive, and how it learns that it should end. */
import { writeFileSync, renameSync } from 'node:fs';
import { MessageChannel } from 'node:worker_threads';
import { systemClock } from '../clock.ts';
import { PosternError } from '../errors.ts';

/**
 * Keeps the process alive until released. Postern's own timers do not (a forgotten one must not hold a process), so a
 * worker whose gateway is away would otherwise end between two dials.
 */
export function holdOpen(): () => void {
  const { port1, port2 } = new MessageChannel();
  port1.on('message', () => undefined);
  return () => {
    port1.close();
    port2.close();
    // A channel to the parent holds the process as well, as long as somebody listens to it.
    if (process.connected) process.disconnect();
  };
}

/** Exit code of a process that a second Ctrl-C ended: 128 + SIGINT. */
const EXIT_INTERRUPTED = 130;

/** One Ctrl-C under npm arrives twice: from the terminal, and passed on by npm. Nobody means the second within this. */
const ECHO_MS = 500;

/**
 * Resolves with the reason when somebody asks this process to end: SIGINT, SIGTERM, or, for a child of `postern up`,
 * the parent's word or its death. A second signal ends the process at once, without waiting for what runs.
 */
export function untilAskedToEnd(): Promise<string> {
  return new Promise((resolve) => {
    let askedAt: number | null = null;
    const ask = (reason: string): void => {
      const now = systemClock.monotonic();
      if (askedAt === null) {
        askedAt = now;
        resolve(reason);
      } else if (now - askedAt > ECHO_MS) {
        process.exit(EXIT_INTERRUPTED);
      }
    };
    if (process.connected) {
      // A terminal sends Ctrl-C to the whole group. The parent ends its child when the gateway has drained.
      process.on('SIGINT', () => undefined);
      process.on('disconnect', () => ask('parent gone'));
      process.on('message', (message) => {
        if (message === 'end') ask('parent');
      });
    } else {
      process.on('SIGINT', () => ask('SIGINT'));
    }
    process.on('SIGTERM', () => ask('SIGTERM'));
  });
}

/** Written whole or not at all, so that who waits for the file never reads half of it. */
export function writeReadyFile(file: string, content: object): void {
  try {
    writeFileSync(`${file}.tmp`, `${JSON.stringify(content)}\n`);
    renameSync(`${file}.tmp`, file);
  } catch (error) {
    throw new PosternError('config_invalid', `--ready-file ${file} cannot be written (${(error as Error).message})`, {
      cause: error,
    });
  }
}
