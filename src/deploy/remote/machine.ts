/** A machine on which shell scripts are run: another one by SSH, or this one. */
import type { Readable } from 'node:stream';

export interface RemoteOptions {
  /** Sent to standard input; without it the command reads nothing. */
  readonly input?: Readable | string;
  /** Called for each line of standard output as it comes; then `out` stays empty. */
  readonly onLine?: (line: string) => void;
  readonly signal?: AbortSignal;
}

export interface Ended {
  readonly code: number;
  readonly out: string;
  /** The end of what it wrote to standard error. */
  readonly err: string;
}

export interface Remote {
  readonly target: string;
  /** Runs a shell script. Throws unreachable when ssh itself failed, and not when the script did. */
  run(script: string, options?: RemoteOptions): Promise<Ended>;
  /** Starts a script that lasts until its standard input is closed, which happens when this process is gone, too. */
  hold(script: string, onLine: (line: string) => void): Held;
  close(): Promise<void>;
}

/** A script that lasts. */
export interface Held {
  readonly ended: Promise<Ended>;
  /** Sends a line to its standard input. */
  say(line: string): void;
  /** Closes its standard input. */
  release(): void;
}
