/** This machine, as the place of releases: the same scripts, without SSH before them. */
import { spawn } from 'node:child_process';
import { holdScript, runScript } from './child.ts';
import type { Remote } from './machine.ts';

export function openLocal(): Remote {
  const start = (script: string, stdin: 'pipe' | 'ignore') =>
    spawn('sh', ['-c', script], { stdio: [stdin, 'pipe', 'pipe'] });
  return {
    target: 'this machine',
    run: (script, options = {}) => runScript(start(script, options.input === undefined ? 'ignore' : 'pipe'), options),
    hold: (script, onLine) => holdScript(start(script, 'pipe'), onLine),
    close: () => Promise.resolve(),
  };
}
