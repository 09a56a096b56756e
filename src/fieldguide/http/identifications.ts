/** `/api/identifications` and what belongs to one: photos in, progress and outcome out, feedback, links, delete. */
import { z } from 'zod';
import { PosternError } from '../../errors.ts';
import type { AppDesk, AppHost } from '../../gateway/ports.ts';
import type { Answer, Call, Route } from '../../gateway/http/route.ts';
import type { Guide } from '../guide/guide.ts';
import type { Identifications } from '../identify/identifications.ts';
import { MAX_PHOTOS, OF_ADDRESS, OF_OWNER, SMALL_WRITES } from '../identify/limits.ts';
import { progressOf } from '../identify/progress.ts';
import type { WorkerStates } from '../identify/worker-state.ts';
import { MAX_PIXELS } from '../photos/prepare.ts';
import type { Incoming } from '../photos/incoming.ts';
import type { Photos } from '../photos/photos.ts';
import type { Identification } from '../records/records.ts';
import { done, entityTag, fresh, get, guideFinder, photoAnswer, post, remove } from './answers.ts';
import { listCursor } from './cursor.ts';
import type { Owners } from './owner.ts';
import { bad, bodyOf, choiceOf, limitOf, refuseOthers, single, waitOf } from './parameters.ts';
import { moment, renderIdentification, shareOf } from './render.ts';
import { createUploads, PHOTO_TYPES } from './uploads.ts';

export interface IdentificationRoutesOptions {
  readonly host: AppHost;
  readonly desk: AppDesk;
  readonly guides: ReadonlyMap<string, Guide>;
  readonly identifications: Identifications;
  readonly photos: Photos;
  readonly owners: Owners;
  readonly workers: WorkerStates;
  readonly incoming: Incoming;
  readonly photoTtlMs: number;
  readonly recordTtlMs: number;
}

const DAY_MS = 86_400_000;
const DEFAULT_PAGE = 20;
const MAX_PAGE = 50;
const MAX_KEY_CHARS = 255;
/** Of the owner alone: no cache between may keep it, the browser may. */
const OWN_PHOTO = 'private, max-age=86400';

const feedbackBody = z.strictObject({
  verdict: z.enum(['right', 'wrong']),
  entry: z.string().min(1).max(100).nullish(),
});
const shareBody = z.strictObject({ photos: z.boolean().default(false) });

export function identificationRoutes(options: IdentificationRoutesOptions): Route[] {
  const { host, desk, guides, identifications, photos, owners, workers } = options;
  const guideOf = guideFinder(guides);
  const ofAddress = desk.throttle(OF_ADDRESS);
  const ofOwner = desk.throttle(OF_OWNER);
  const small = desk.throttle(SMALL_WRITES);
  const uploads = createUploads({ desk, incoming: options.incoming, clock: host.clock });

  function take(throttle: ReturnType<AppDesk['throttle']>, name: string, what: string): void {
    const waitMs = throttle.take(name);
    if (waitMs > 0) throw new PosternError('rate_limited', what, { retryAfterS: waitMs / 1_000 });
  }
  const takeSmall = ({ request }: Call): void =>
    take(small, desk.addressGroup(request), 'This address writes too often.');

  async function rendered(one: Identification): Promise<object> {
    const guide = guides.get(one.guide);
    if (guide === undefined) throw new PosternError('guide_not_found', 'The guide of this identification is gone.');
    const isDecided = one.state === 'decided';
    const progress = isDecided ? new Map() : await progressOf(one, host.predictions);
    const worker = isDecided ? null : await workers(guide.model);
    return renderIdentification(one, { guide, progress, worker });
  }

  async function status(call: Call): Promise<Answer> {
    refuseOthers(call.query);
    const { id, model } = guideOf(call);
    const worker = await workers(model);
    return fresh(200, {
      guide: id,
      model,
      worker: { state: worker.state, last_seen_at: moment(worker.lastSeenAt) },
      waiting: worker.waitingJobs,
      upload: {
        mode: options.incoming.origin === null ? 'form' : 'presigned',
        max_photos: MAX_PHOTOS,
        max_bytes: desk.maxBodyBytes,
        max_pixels: MAX_PIXELS,
        types: PHOTO_TYPES,
      },
      photo_days: options.photoTtlMs / DAY_MS,
      record_days: options.recordTtlMs / DAY_MS,
    });
  }

  async function create(call: Call): Promise<Answer> {
    refuseOthers(call.query);
    const guide = guideOf(call);
    const idempotencyKey = keyOf(call);
    take(ofAddress, desk.addressGroup(call.request), 'Too many photos come from this address.');
    const { owner, headers } = await owners.require(call);
    take(ofOwner, owner, 'You send photos faster than anybody takes them.');
    const made = await uploads.take(call, (files) => identifications.create({ guide, owner, idempotencyKey, files }));
    return fresh(202, await rendered(made), ['location', `/api/identifications/${made.id}`, ...headers]);
  }

  async function read(call: Call): Promise<Answer> {
    refuseOthers(call.query, 'wait');
    const waitMs = waitOf(call.query);
    const owner = owners.of(call);
    const id = call.params.id ?? '';
    const known = call.request.headers['if-none-match'];
    const look = async (): Promise<{ body: object; etag: string; isDecided: boolean }> => {
      const one = await identifications.get(owner, id);
      const body = await rendered(one);
      return { body, etag: entityTag(comparable(body)), isDecided: one.state === 'decided' };
    };
    let last = await look();
    const isNews = ({ etag, isDecided }: typeof last): boolean => (known === undefined ? isDecided : etag !== known);
    if (waitMs > 0 && !last.isDecided && !isNews(last)) {
      await identifications.wait(id, waitMs, desk.leaving(call), async () => {
        last = await look();
        return last.isDecided || isNews(last) || desk.draining() ? last : null;
      });
    }
    const tag = ['etag', last.etag];
    if (last.etag === known) return { status: 304, headers: ['cache-control', 'no-store', ...tag], body: '' };
    return fresh(200, last.body, tag);
  }

  async function list(call: Call): Promise<Answer> {
    refuseOthers(call.query, 'limit', 'cursor');
    const limit = limitOf(call.query, DEFAULT_PAGE, MAX_PAGE);
    const cursor = single(call.query, 'cursor');
    const [createdAt, id] = cursor === undefined ? [null, ''] : listCursor.read(cursor);
    const owner = owners.of(call);
    if (owner === null) return fresh(200, { items: [], next: null });
    // One more than asked for tells whether there is a next page.
    const found = await identifications.list(owner, limit + 1, createdAt === null ? null : { createdAt, id });
    const page = found.slice(0, limit);
    const last = page.at(-1);
    const next = found.length > limit && last ? listCursor.write([last.createdAt, last.id]) : null;
    const shown = page.filter(({ guide }) => guides.has(guide));
    return fresh(200, { items: await Promise.all(shown.map(rendered)), next });
  }

  async function photo(call: Call): Promise<Answer> {
    refuseOthers(call.query, 'size');
    const size = choiceOf(call.query, 'size', ['full', 'thumb'], 'full');
    const one = await identifications.get(owners.of(call), call.params.id ?? '');
    const found = one.photos.find(({ n }) => String(n) === call.params.n);
    const key = size === 'thumb' ? found?.thumb : found?.blob;
    const bytes = key ? await photos.read(key) : null;
    if (!key || bytes === null) throw new PosternError('photo_not_found', 'There is no such photo, or it has expired.');
    return photoAnswer(call, bytes, key, OWN_PHOTO);
  }

  async function feedback(call: Call): Promise<Answer> {
    takeSmall(call);
    const owner = owners.known(call);
    const { verdict, entry } = bodyOf(feedbackBody, await desk.readJson(call.request));
    const before = await identifications.get(owner, call.params.id ?? '');
    const named = entry ?? null;
    if (named !== null && !guides.get(before.guide)?.get(named)) {
      throw new PosternError('entry_not_found', `The guide ${before.guide} has no such entry.`);
    }
    return fresh(200, await rendered(await identifications.feedback(owner, before.id, { verdict, entry: named })));
  }

  return [
    get('/api/guides/:guide/status', status),
    { method: 'POST', path: '/api/guides/:guide/identifications', scope: 'guest', handle: create },
    {
      method: 'POST',
      path: '/api/guides/:guide/uploads',
      scope: 'guest',
      handle(call) {
        guideOf(call);
        takeSmall(call);
        return uploads.offer(call);
      },
    },
    get('/api/identifications', list),
    remove('/api/identifications', async (call) => {
      takeSmall(call);
      const owner = owners.known(call);
      if (owner !== null) await identifications.removeAll(owner);
      return done(owners.forgetHeaders(call));
    }),
    get('/api/identifications/:id', read),
    remove('/api/identifications/:id', async (call) => {
      takeSmall(call);
      await identifications.remove(owners.known(call), call.params.id ?? '');
      return done();
    }),
    post('/api/identifications/:id/retry', async (call) => {
      takeSmall(call);
      return fresh(202, await rendered(await identifications.retry(owners.known(call), call.params.id ?? '')));
    }),
    post('/api/identifications/:id/feedback', feedback),
    remove('/api/identifications/:id/feedback', async (call) => {
      takeSmall(call);
      return fresh(200, await rendered(await identifications.feedback(owners.known(call), call.params.id ?? '', null)));
    }),
    post('/api/identifications/:id/share', async (call) => {
      takeSmall(call);
      const owner = owners.known(call);
      const { photos: withPhotos } = bodyOf(shareBody, await desk.readJson(call.request));
      const { share } = await identifications.share(owner, call.params.id ?? '', withPhotos);
      return fresh(200, share === null ? {} : shareOf(share));
    }),
    remove('/api/identifications/:id/share', async (call) => {
      takeSmall(call);
      await identifications.unshare(owners.known(call), call.params.id ?? '');
      return done();
    }),
    get('/api/identifications/:id/photos/:n', photo),
  ];
}

/** A ready worker is heard all the time: that alone is no news. */
function comparable(body: object): string {
  const { worker } = body as { worker: { state: string } | null };
  return JSON.stringify(worker?.state === 'ready' ? { ...body, worker: 'ready' } : body);
}

function keyOf({ request }: Call): string | null {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return null;
  if (typeof key === 'string' && key.length <= MAX_KEY_CHARS && /^[\x21-\x7e]+$/.test(key)) return key;
  throw bad(`Idempotency-Key: expected 1 to ${MAX_KEY_CHARS} visible ASCII characters`);
}
