/** What removed identifications, and photos whose time is over, leave behind: predictions that run, inputs that are kept of them, photos. */
import type { AppHost } from '../../gateway/ports.ts';
import type { Photos } from '../photos/photos.ts';
import type { Removed } from '../records/records.ts';

export interface ClearOptions {
  readonly host: Pick<AppHost, 'predictions' | 'dropFailedInputs'>;
  readonly photos: Pick<Photos, 'drop'>;
}

export interface Clear {
  /** Takes away all that this leaves behind. */
  removed(removed: Removed): Promise<void>;
  /** Takes away the photos that are kept with failed predictions; rejects when they could not be. */
  inputs(jobs: readonly string[]): Promise<void>;
}

/** Of one step of the store. */
const PER_STEP = 200;

export function createClear({ host, photos }: ClearOptions): Clear {
  async function inputs(jobs: readonly string[]): Promise<void> {
    for (let at = 0; at < jobs.length; at += PER_STEP) await host.dropFailedInputs(jobs.slice(at, at + PER_STEP));
  }

  return {
    async removed({ blobs, jobs, undecidedJobs }) {
      // A prediction that nobody will read; if it cannot be cancelled, it is run in vain.
      for (const job of undecidedJobs) await host.predictions.cancel(job).catch(() => undefined);
      await inputs(jobs);
      await photos.drop(blobs);
    },
    inputs,
  };
}
