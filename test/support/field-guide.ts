/** The field guide over an HTTP service with fake predictions: records and photos in a folder of their own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createDirectoryBlobs } from '../../src/blobs/directory.ts';
import { systemClock, type Clock } from '../../src/clock.ts';
import { createFieldGuide, type FieldGuideOptions } from '../../src/fieldguide/fieldguide.ts';
import { createSqliteRecords } from '../../src/fieldguide/records/sqlite.ts';
import { silentLogger } from '../../src/logger.ts';
import type { GatewayConfigInput } from '../../src/gateway/config.ts';
import { createFakePredictions, type FakePredictions } from './fake-predictions.ts';
import { startHttp, type RunningHttp, type StartHttp } from './http-service.ts';

export const GUIDES = new URL('../../guides', import.meta.url).pathname;

export interface StartFieldGuide {
  readonly http?: GatewayConfigInput['http'];
  readonly options?: Partial<FieldGuideOptions>;
  readonly clock?: Clock;
  /** Those of an earlier one, to go on where it ended. */
  readonly fake?: FakePredictions;
  readonly folder?: string;
  readonly dropFailedInputs?: (jobs: readonly string[]) => Promise<unknown>;
  readonly start?: Omit<StartHttp, 'apps' | 'fake'>;
}

export interface RunningFieldGuide extends RunningHttp {
  readonly folder: string;
  stop(): Promise<void>;
}

export async function startFieldGuide(t: TestContext, given: StartFieldGuide = {}): Promise<RunningFieldGuide> {
  const { clock = systemClock, fake = createFakePredictions(['plants', 'clothes']) } = given;
  const folder = given.folder ?? mkdtempSync(join(tmpdir(), 'postern-guide-'));
  const app = createFieldGuide(
    {
      folders: ['plants', 'clothes'].map((name) => join(GUIDES, name)),
      blobs: createDirectoryBlobs({ folder: join(folder, 'photos'), clock }),
      records: createSqliteRecords(join(folder, 'fieldguide.sqlite')),
      photoTtlMs: 30 * 86_400_000,
      recordTtlMs: 365 * 86_400_000,
      ...given.options,
    },
    {
      predictions: fake,
      onDecided: (observer) => fake.onDecided(observer),
      dropFailedInputs: given.dropFailedInputs ?? (() => Promise.resolve()),
      clock,
      logger: silentLogger,
    },
  );
  await app.start();
  await app.activate();
  const http = await startHttp(t, given.http ?? {}, { ...given.start, apps: [app], fake });
  const stop = async (): Promise<void> => {
    await http.service.stop();
    await app.stop();
  };
  t.after(async () => {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  });
  return { ...http, folder, stop };
}
