/** The field guide as an app of the gateway: guides out of folders, served beside the API. */
import { PosternError } from '../errors.ts';
import type { App } from '../gateway/ports.ts';
import { createService } from '../service.ts';
import type { Guide } from './guide/guide.ts';
import { loadGuide } from './guide/load.ts';
import { guideRoutes } from './http/guides.ts';
import { FIELD_GUIDE_OPENAPI } from './http/openapi.ts';

export interface FieldGuideOptions {
  /** Folders, each a guide. */
  readonly folders: readonly string[];
}

/** Guides are read at start, which rejects with config_invalid when one cannot be used. */
export function createFieldGuide({ folders }: FieldGuideOptions): App {
  const guides = new Map<string, Guide>();
  return {
    ...createService({
      async start() {
        for (const folder of folders) {
          const guide = await loadGuide(folder);
          if (guides.has(guide.id)) throw new PosternError('config_invalid', `two guides are called ${guide.id}`);
          guides.set(guide.id, guide);
        }
      },
      stop: () => Promise.resolve(),
    }),
    routes: () => guideRoutes(guides),
    openApi: FIELD_GUIDE_OPENAPI,
  };
}
