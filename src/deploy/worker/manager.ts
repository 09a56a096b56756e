/** Who starts and stops a worker on its machine: systemd, the system's or the user's own. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { PosternError } from '../../errors.ts';
import { WORKER_UNIT } from '../systemd/unit.ts';

export interface ServiceManager {
  /** Reads the unit anew, and starts it with the machine from now on. */
  install(): Promise<void>;
  /** Asks the process to end, which drains it, and starts it from what `current` names. */
  restart(): Promise<void>;
  stop(): Promise<void>;
  isActive(): Promise<boolean>;
}

/** null: systemd does not run here. */
export function systemdManager(ofUser: boolean): ServiceManager | null {
  if (!existsSync('/run/systemd/system')) return null;
  const systemctl = async (...words: string[]): Promise<string> => {
    const args = [...(ofUser ? ['--user'] : []), ...words];
    try {
      // A stop waits for jobs that run; systemd itself ends it after TimeoutStopSec.
      return (await promisify(execFile)('systemctl', args, { timeout: 3_600_000 })).stdout.trim();
    } catch (error) {
      const said = (error as { stderr?: string }).stderr?.trim() || (error as Error).message;
      throw new PosternError('deploy_failed', `systemctl ${args.join(' ')}: ${said}`, { cause: error });
    }
  };
  return {
    async install() {
      await systemctl('daemon-reload');
      await systemctl('--quiet', 'enable', WORKER_UNIT);
    },
    restart: async () => void (await systemctl('restart', WORKER_UNIT)),
    stop: async () => void (await systemctl('stop', WORKER_UNIT)),
    isActive: () =>
      systemctl('is-active', WORKER_UNIT).then(
        () => true,
        () => false,
      ),
  };
}
