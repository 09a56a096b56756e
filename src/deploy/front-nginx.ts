/**
 * nginx in front: instances take turns on two ports, an include file says which one, and nginx is told to read it. Its exit code says
 * only that it was told; whether callers reach the new instance is verified from outside (`verifyFront`).
 */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PosternError } from '../errors.ts';
import { PUBLIC_MODE, writeStateFile } from '../state-file.ts';
import type { Front } from './front.ts';

export interface NginxFrontOptions {
  readonly ports: readonly [number, number];
  /** What the configuration of nginx includes. */
  readonly include: string;
  /** Words with spaces between, run without a shell; null: something else watches the file. */
  readonly reload: string | null;
  /** Where nginx answers on this machine. */
  readonly url: string;
}

const RELOAD_TIMEOUT_MS = 10_000;

export function createNginxFront({ ports, include, reload, url }: NginxFrontOptions): Front {
  return {
    url,
    // While nginx reloads, workers of the old and the new configuration accept beside each other.
    verifyTimes: 3,
    place(others) {
      const taken = new Set(others.filter(({ phase }) => phase === 'active').map(({ port }) => port));
      // One that left does not listen any more; one that waits to serve again would want its port back.
      const port = ports.find((one) => !taken.has(one));
      if (port !== undefined) return Promise.resolve({ port });
      throw new PosternError('overloaded', `both ports, ${ports.join(' and ')}, are taken by instances that serve`);
    },
    async engage({ port }) {
      await mkdir(dirname(include), { recursive: true, mode: 0o755 });
      await writeStateFile(include, `set $service_url http://127.0.0.1:${port};\n`, PUBLIC_MODE);
      if (reload !== null) await run(reload);
    },
    close: () => undefined,
  };
}

function run(command: string): Promise<void> {
  const [program = '', ...words] = command.split(/\s+/).filter((word) => word !== '');
  return new Promise((resolve, reject) => {
    execFile(program, words, { timeout: RELOAD_TIMEOUT_MS }, (error, _out, stderr) => {
      if (error === null) resolve();
      else {
        const said = stderr.trim().split('\n').slice(-3).join('; ') || error.message;
        reject(new PosternError('release_unhealthy', `nginx could not be told (${command}): ${said}`));
      }
    });
  });
}
