/** The instances that live: started here, or found running. Owner of the list, and of their files in `run/`. */
import { spawn } from 'node:child_process';
import { closeSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { BoundSocket } from './bound-socket.ts';
import { childDoors, type Front } from './front.ts';
import type { HandOverStart, Report } from './hand-over.ts';
import { createInstance, type Instance } from './instance.ts';
import { instanceSocket, logFile, releaseFolder, type Layout } from './layout.ts';
import { endOfLog, openLog, shortenLog, sizeOfLog } from './log-file.ts';
import { RELEASE_ID, type Manifest } from './manifest.ts';

export interface FleetOptions {
  readonly layout: Layout;
  readonly front: Front;
  readonly tunnel: BoundSocket;
  /** Of an instance whose release lies in this folder. */
  readonly environment: (folder: string) => Readonly<Record<string, string | undefined>>;
  readonly maintenance: () => string | null;
  readonly onExit: (instance: Instance) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

export function createFleet(options: FleetOptions) {
  const { layout, front, tunnel, clock, logger } = options;
  const instances = new Map<string, Instance>();

  function add(instance: Instance): void {
    instances.set(instance.name, instance);
    void instance.exited.then(async ({ code, signal }) => {
      instances.delete(instance.name);
      const fields = { instance: instance.name, pid: instance.pid, exit_code: code, signal };
      if (instance.isExpectedToEnd) logger.info('instance ended', fields);
      else logger.warn('instance ended by itself', fields);
      await rm(instanceSocket(layout, instance.name), { force: true });
      options.onExit(instance);
    });
  }

  return {
    get all(): readonly Instance[] {
      return [...instances.values()];
    },

    /** Starts a process; it reports by itself. Rejects when the system cannot start it. */
    async start({ id, command }: Manifest, name: string): Promise<Instance> {
      const folder = releaseFolder(layout, id);
      const place = await front.place([...instances.values()]);
      const { stdio, http, tunnel: tunnelDoors } = childDoors(place, tunnel.fd);
      const handOver: HandOverStart = {
        version: 1,
        release: id,
        instance: name,
        control: layout.controlSocket,
        private: instanceSocket(layout, name),
        active: layout.activeSocket,
        http,
        tunnel: tunnelDoors,
      };
      const [program = '', ...words] = command.map((word, index) =>
        word.includes('/') && !word.startsWith('/') && (index === 0 || !word.startsWith('-'))
          ? join(folder, word)
          : word,
      );
      const file = logFile(layout, id);
      const logFrom = sizeOfLog(file);
      const log = openLog(file);
      try {
        // A group of its own: a Ctrl-C at the supervisor's terminal is for the supervisor, which drains them.
        const child = spawn(program, [...words, 'gateway', '--hand-over', JSON.stringify(handOver)], {
          env: { ...options.environment(folder) },
          stdio: ['ignore', log, log, ...stdio],
          detached: true,
        });
        await new Promise<void>((resolve, reject) => {
          child.once('spawn', resolve);
          child.once('error', reject);
        });
        const port = 'port' in place ? place.port : null;
        const instance = createInstance({ name, release: id, pid: child.pid!, port, child, logFrom, clock });
        add(instance);
        logger.info('instance started', { instance: name, release: id, pid: child.pid });
        return instance;
      } finally {
        closeSync(log);
      }
    },

    /** False: it is none of ours. */
    onReport(report: Report, socket: Socket): boolean {
      let instance = instances.get(report.instance);
      if (instance === undefined) {
        if (!RELEASE_ID.test(report.release) || !report.instance.startsWith(`${report.release.slice(0, 8)}-`))
          return false;
        const { pid, instance: name, release } = report;
        const port = portOf(pid, name);
        const logFrom = sizeOfLog(logFile(layout, release));
        instance = createInstance({ name, release, pid, port, child: null, logFrom, clock });
        add(instance);
        instance.attach(socket);
        instance.onReport(report);
        logger.info('instance found running', { instance: name, release, pid, phase: report.phase });
      } else {
        const from = instance.phase;
        instance.attach(socket);
        instance.onReport(report);
        if (from === report.phase) return true;
        logger.info('instance phase', { instance: instance.name, from, to: report.phase });
      }
      // Also for one that was away while it began or ended.
      instance.send({ command: 'maintenance', text: options.maintenance() });
      return true;
    },

    /** Processes of this folder that an earlier supervisor left, by the name of their instance. */
    orphans: (): ReadonlyMap<string, number> => findOrphans(layout.controlSocket),

    /** The end of what an instance printed, for a message. */
    lastWords: (instance: Instance): string => endOfLog(logFile(layout, instance.release), instance.logFrom),

    async shortenLogs(): Promise<void> {
      for (const release of new Set([...instances.values()].map((one) => one.release))) {
        await shortenLog(logFile(layout, release));
      }
    },
  };
}

export type Fleet = ReturnType<typeof createFleet>;

/** Looks through /proc for processes that were started for this control socket. */
function findOrphans(controlSocket: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const start = startOf(Number(entry));
    if (start?.control === controlSocket) found.set(start.instance, Number(entry));
  }
  return found;
}

/** What the process was given as `--hand-over`; null: it is no instance, or gone. */
function startOf(pid: number): HandOverStart | null {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    const at = words.indexOf('--hand-over');
    return at < 0 ? null : (JSON.parse(words[at + 1] ?? '') as HandOverStart);
  } catch {
    return null;
  }
}

function portOf(pid: number, name: string): number | null {
  const start = startOf(pid);
  return start?.instance === name && 'port' in start.http ? start.http.port : null;
}
