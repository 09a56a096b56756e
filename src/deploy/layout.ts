/** Where releases lie on a machine, and what is beside them: see docs/architecture/releases.md. */
import { join } from 'node:path';
import { PosternError } from '../errors.ts';

export interface Layout {
  readonly root: string;
  readonly releases: string;
  readonly incoming: string;
  /** A link to the folder of the release that serves. */
  readonly current: string;
  readonly state: string;
  readonly lock: string;
  readonly audit: string;
  readonly logs: string;
  readonly nginx: string;
  readonly run: string;
  readonly controlSocket: string;
  readonly supervisorLock: string;
  /** A link to the private socket of the instance that serves. */
  readonly activeSocket: string;
}

/** What the system takes for the path of a Unix socket, without the byte that ends it. */
const MAX_SOCKET_PATH_BYTES = 107;
/** `run/` and the longest name in it: an instance is eight digits of its release, a dash and a number. */
const LONGEST_SOCKET = 'run/00000000-0000000000.sock';

/** Throws config_invalid when sockets below this folder would have names that are too long. */
export function layoutOf(root: string): Layout {
  const room = MAX_SOCKET_PATH_BYTES - LONGEST_SOCKET.length - 1;
  if (Buffer.byteLength(root) > room) {
    throw new PosternError(
      'config_invalid',
      `POSTERN_DEPLOY_DIR has ${Buffer.byteLength(root)} bytes and sockets below it leave room for ${room}: choose a shorter path`,
    );
  }
  const run = join(root, 'run');
  return {
    root,
    releases: join(root, 'releases'),
    incoming: join(root, 'incoming'),
    current: join(root, 'current'),
    state: join(root, 'state.json'),
    lock: join(root, 'lock.json'),
    audit: join(root, 'audit.jsonl'),
    logs: join(root, 'logs'),
    nginx: join(root, 'nginx'),
    run,
    controlSocket: join(run, 'supervisor.sock'),
    supervisorLock: join(run, 'supervisor.lock'),
    activeSocket: join(run, 'active.sock'),
  };
}

export const releaseFolder = ({ releases }: Layout, id: string): string => join(releases, id);
export const logFile = ({ logs }: Layout, id: string): string => join(logs, `${id}.log`);
export const instanceSocket = ({ run }: Layout, instance: string): string => join(run, `${instance}.sock`);
