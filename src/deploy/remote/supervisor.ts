/** Is there a supervisor on the other machine, and what does it serve? Starts it where systemd can. */
import { sleep, type Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { GATEWAY_UNIT } from '../systemd/unit.ts';
import { askProgram } from './program.ts';
import { startScript } from './scripts.ts';
import type { Site } from './site.ts';
import type { Step } from './steps.ts';

/** The release that callers meet now; null: none, or nobody to ask. */
export async function servingRelease(site: Site): Promise<string | null> {
  return (await ask(site, null))?.current ?? null;
}

interface Status {
  readonly supervisor: boolean;
  readonly current: string | null;
  readonly status?: { readonly switching?: boolean } | null;
}

async function ask(site: Site, release: string | null): Promise<Status | null> {
  try {
    return (await askProgram(site, { release, args: ['releases', '--json'] })) as Status;
  } catch {
    return null;
  }
}

const START_TRIES = 60;
const BETWEEN_MS = 500;

export async function ensureSupervisor(site: Site, id: string, step: Step, clock: Clock): Promise<void> {
  const found = await ask(site, id);
  if (found?.supervisor === true) return untilIdle(site, id, found, step, clock);
  const { hasSystemd, hasUnit } = site.probe;
  const byUnit = hasSystemd && hasUnit;
  if (byUnit) {
    step.note(`starting ${GATEWAY_UNIT}`);
    const { code, err } = await site.runAsRoot(`systemctl start ${GATEWAY_UNIT}`);
    if (code !== 0) {
      throw new PosternError(
        'deploy_failed',
        `${GATEWAY_UNIT} could not be started (${err}): on that machine, sudo systemctl start ${GATEWAY_UNIT}`,
      );
    }
  } else {
    step.note('starting a supervisor without a service manager: nobody will start it when the machine starts again');
    await site.run(startScript(site.dir));
  }
  for (let tries = 0; tries < START_TRIES; tries += 1) {
    if ((await ask(site, id))?.supervisor === true) return;
    await sleep(clock, BETWEEN_MS);
  }
  const log = byUnit ? `journalctl -u ${GATEWAY_UNIT}` : `${site.dir}/logs/supervisor.log`;
  throw new PosternError('deploy_failed', `the supervisor was started and does not answer; ${log} there says why`);
}

/** Somebody who deployed before us and was killed has left a switch that goes on without them. */
async function untilIdle(site: Site, id: string, found: Status, step: Step, clock: Clock): Promise<void> {
  let now: Status | null = found;
  for (let tries = 0; now?.status?.switching === true && tries < IDLE_TRIES; tries += 1) {
    if (tries === 0) step.note('a switch is under way already: waiting for its end');
    await sleep(clock, BETWEEN_MS);
    now = await ask(site, id);
  }
}

/** Starting, verifying and draining take 75 s at most. */
const IDLE_TRIES = 240;
