/** The field guide as an app of the gateway: guides out of folders, and what people do with them, served beside the API. */
import type { Timer } from '../clock.ts';
import type { BlobStore } from '../blobs/blobs.ts';
import { PosternError, toPosternError } from '../errors.ts';
import type { App, AppHost } from '../gateway/ports.ts';
import { createService } from '../service.ts';
import type { Guide } from './guide/guide.ts';
import { loadGuide } from './guide/load.ts';
import { guideRoutes } from './http/guides.ts';
import { identificationRoutes } from './http/identifications.ts';
import { FIELD_GUIDE_OPENAPI } from './http/openapi.ts';
import { createOwners } from './http/owner.ts';
import { rankingRoutes } from './http/ranking.ts';
import { shareRoutes } from './http/shares.ts';
import { createClear } from './identify/clear.ts';
import { createFollow } from './identify/follow.ts';
import { createIdentifications } from './identify/identifications.ts';
import { createWorkerStates } from './identify/worker-state.ts';
import { createIncoming } from './photos/incoming.ts';
import { createPhotos } from './photos/photos.ts';
import { createPreparer } from './photos/preparer.ts';
import { createRanking } from './ranking/ranking.ts';
import type { Records } from './records/records.ts';
import { sweep } from './sweep.ts';

export interface FieldGuideOptions {
  /** Folders, each a guide. */
  readonly folders: readonly string[];
  /** Of photos alone. Started and stopped with the app, like the records. */
  readonly blobs: BlobStore;
  readonly records: Records;
  /** Other gateways have the records too, and not the photos. */
  readonly hasLocalPhotos?: boolean;
  readonly photoTtlMs: number;
  readonly recordTtlMs: number;
}

const SWEEP_MS = 30_000;
const LEFT_BEHIND_MS = 3_600_000;

/** Guides are read at start, which rejects with config_invalid when one cannot be used. */
export function createFieldGuide(options: FieldGuideOptions, host: AppHost): App {
  const { folders, blobs, records, photoTtlMs, recordTtlMs } = options;
  const { clock, logger } = host;
  const guides = new Map<string, Guide>();
  const photos = createPhotos({ blobs, records, clock });
  const preparer = createPreparer({ clock });
  const follow = createFollow({ host, guides, records, photos });
  const clear = createClear({ host, photos });
  const identifications = createIdentifications({
    host,
    records,
    photos,
    preparer,
    follow,
    clear,
    photoTtlMs,
    recordTtlMs,
  });
  const ranking = createRanking({ host, guides, records });
  const workers = createWorkerStates(host);
  let maxPhotoBytes = 0;
  const incoming = createIncoming(blobs, () => maxPhotoBytes);
  let timers: Timer[] = [];

  const quietly = (what: string, work: () => Promise<void>): void => {
    work().catch((error: unknown) => {
      logger.warn('the field guide could not be cleared', { what, error: toPosternError(error).message });
    });
  };

  return {
    ...createService({
      async start() {
        for (const folder of folders) {
          const guide = await loadGuide(folder);
          if (guides.has(guide.id)) throw new PosternError('config_invalid', `two guides are called ${guide.id}`);
          guides.set(guide.id, guide);
        }
        await blobs.start();
        await records.start();
        await incoming.start();
      },
      async stop() {
        for (const timer of timers) timer.cancel();
        await preparer.stop();
        await ranking.stop();
        await follow.stop();
        await records.stop();
        await blobs.stop();
      },
    }),
    async activate() {
      await follow.start();
      await ranking.start();
      timers = [
        clock.every(SWEEP_MS, () => quietly('ended', () => sweep({ records, clear, clock }))),
        clock.every(LEFT_BEHIND_MS, () => quietly('left behind', () => photos.dropLeftBehind())),
      ];
      quietly('left behind', () => photos.dropLeftBehind());
    },
    get uploadOrigin() {
      return incoming.origin;
    },
    routes(desk) {
      maxPhotoBytes = desk.maxBodyBytes;
      const owners = createOwners({ records, desk, clock });
      return [
        ...guideRoutes(guides),
        ...identificationRoutes({
          host,
          desk,
          guides,
          identifications,
          photos,
          owners,
          workers,
          incoming,
          photoTtlMs,
          recordTtlMs,
        }),
        ...shareRoutes({ guides, identifications, photos }),
        ...rankingRoutes({ desk, guides, owners, ranking }),
      ];
    },
    openApi: FIELD_GUIDE_OPENAPI,
    local: options.hasLocalPhotos === true ? ['photos'] : [],
  };
}
