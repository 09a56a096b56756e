/** `/api/shares`: what somebody chose to show to whoever has the link. Nothing in it tells who that was. */
import { PosternError } from '../../errors.ts';
import type { Route } from '../../gateway/http/route.ts';
import type { Guide } from '../guide/guide.ts';
import type { Identifications } from '../identify/identifications.ts';
import type { Photos } from '../photos/photos.ts';
import { fresh, get, photoAnswer } from './answers.ts';
import { choiceOf, refuseOthers } from './parameters.ts';
import { photoLinks, renderOutcome } from './render.ts';

export interface ShareRoutesOptions {
  readonly guides: ReadonlyMap<string, Guide>;
  readonly identifications: Identifications;
  readonly photos: Photos;
}

/** A link can be ended: what is cached outlives it by this much. */
const SHARED_PHOTO = 'private, max-age=300';

export function shareRoutes({ guides, identifications, photos }: ShareRoutesOptions): Route[] {
  return [
    get('/api/shares/:token', async (call) => {
      refuseOthers(call.query);
      const token = call.params.token ?? '';
      const { guide: id, outcome, decidedAt, createdAt, share, photos: its } = await identifications.shared(token);
      const guide = guides.get(id);
      if (guide === undefined || outcome === null) {
        throw new PosternError('guide_not_found', 'The guide of what was shared is gone.');
      }
      const shown = share?.photos === true ? its.filter(({ blob }) => blob !== null) : [];
      return fresh(200, {
        guide: id,
        // The day, because knowledge ages; the hour is nobody's business.
        date: new Date(decidedAt ?? createdAt).toISOString().slice(0, 10),
        outcome: renderOutcome(outcome, guide),
        photos: shown.map((photo) => ({
          n: photo.n,
          width: photo.width,
          height: photo.height,
          ...photoLinks(photo, `/api/shares/${token}/photos/${photo.n}`),
        })),
      });
    }),
    get('/api/shares/:token/photos/:n', async (call) => {
      refuseOthers(call.query, 'size');
      const size = choiceOf(call.query, 'size', ['full', 'thumb'], 'full');
      const { share, photos: its } = await identifications.shared(call.params.token ?? '');
      const found = share?.photos === true ? its.find(({ n }) => String(n) === call.params.n) : undefined;
      const key = size === 'thumb' ? found?.thumb : found?.blob;
      const bytes = key ? await photos.read(key) : null;
      if (!key || bytes === null) {
        throw new PosternError('photo_not_found', 'The photo is not shared, or it has expired.');
      }
      return photoAnswer(call, bytes, key, SHARED_PHOTO);
    }),
  ];
}
