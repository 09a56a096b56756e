/**
 * The lock of the other machine, held by a process there that lives as long as our end of its connection: killed, unplugged
 * or done, the lock is free when the connection is gone. Only when that machine does not notice its expiry counts.
 */
import type { Clock } from '../../clock.ts';
import { PosternError } from '../../errors.ts';
import { holdLockScript, LOCK_LINE_MS } from './scripts.ts';
import type { Site } from './site.ts';

export interface HeldLock {
  /** Gives it back, and waits until it is. Twice is fine. */
  release(): Promise<void>;
}

export async function holdLock(site: Site, release: string, owner: string, clock: Clock): Promise<HeldLock> {
  let held: () => void = () => undefined;
  const taken = new Promise<'held'>((resolve) => (held = () => resolve('held')));
  const holder = site.hold(holdLockScript(site.dir, release, owner), (line) => {
    if (line === 'held') held();
  });
  const first = await Promise.race([taken, holder.ended]);
  if (first !== 'held') {
    const said = first.err.replace(/^postern: /gm, '').trim();
    throw new PosternError('deploy_locked', said || `the lock could not be taken (exit code ${first.code})`);
  }
  const lines = clock.every(LOCK_LINE_MS, () => holder.say('here'));
  // A connection that breaks later is noticed by the step that needs it.
  const ended = holder.ended.then(
    () => undefined,
    () => undefined,
  );
  return {
    release() {
      lines.cancel();
      holder.release();
      return ended;
    },
  };
}
