/** Identifications over HTTP, with predictions that the test decides: what is accepted, whose it is, and what is left afterwards. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import sharp from 'sharp';
import { PosternError } from '../../errors.ts';
import { createFakePredictions, succeeded } from '../../../test/support/fake-predictions.ts';
import { startFieldGuide } from '../../../test/support/field-guide.ts';
import type { Identification } from '../../../test/support/field-guide-shapes.ts';
import { until } from '../../../test/support/http-service.ts';
import { flatPng, noise, oriented, pattern } from '../../../test/support/images.ts';
import { createVisitor } from '../../../test/support/visitor.ts';

const photo = await pattern(64, 48).jpeg().toBuffer();
const other = await noise(64, 48).jpeg().toBuffer();

const answer = (scores: Readonly<Record<string, number>>, more: object = {}): ReturnType<typeof succeeded> => {
  const predictions = Object.entries(scores).map(([label, score]) => ({ label, score }));
  return succeeded(JSON.stringify({ predictions, rejected: false, unsure: false, ...more }));
};
const FOXGLOVE = answer({ foxglove: 0.9, rose: 0.06, toxicodendron: 0.04 });
const storedFiles = (folder: string): string[] => globSync(join(folder, 'photos/??/??/*')).sort();

describe('an identification', () => {
  test('has an id at once, and its outcome when the prediction is decided', async (t) => {
    const guide = await startFieldGuide(t);
    guide.fake.ending = null;
    const ada = createVisitor(guide.base);
    const sent = await ada.identify([photo]);
    assert.equal(sent.status, 'waiting');
    assert.deepEqual(sent.progress, { done: 0, of: 1, queue_position: 0, fraction: 0 });
    assert.deepEqual(guide.fake.submitted[0]?.parameters, { top_k: 1_000 });
    guide.fake.decide('job-1', FOXGLOVE);
    const { outcome, photos, poll_after_ms } = await ada.decided(sent.id);
    assert.equal(outcome?.type, 'candidates');
    assert.equal(outcome?.candidates[0]?.entry.id, 'foxglove');
    assert.equal(outcome?.danger?.verdict, 'dangerous');
    assert.equal(outcome?.danger?.probability, 0.94);
    assert.equal(photos[0]?.state, 'used');
    assert.equal(poll_after_ms, null);
  });

  test('is told to whoever waits, in the moment in which it is decided', async (t) => {
    const guide = await startFieldGuide(t);
    guide.fake.ending = null;
    const ada = createVisitor(guide.base);
    const { id } = await ada.identify([photo]);
    const first = await ada.fetch(`/api/identifications/${id}`);
    const etag = first.headers.get('etag') ?? '';
    assert.equal((await ada.fetch(`/api/identifications/${id}`, { headers: { 'if-none-match': etag } })).status, 304);
    const waiting = ada.fetch(`/api/identifications/${id}?wait=60`, { headers: { 'if-none-match': etag } });
    guide.fake.change('job-1', { status: 'processing' });
    const news = await waiting;
    assert.equal(news.status, 200);
    assert.equal(((await news.json()) as Identification).status, 'processing');
    const end = ada.read(id, '?wait=60');
    guide.fake.decide('job-1', FOXGLOVE);
    assert.equal((await end).status, 'decided');
  });

  test('of several photos is one answer; a photo that shows no plant is left out', async (t) => {
    const guide = await startFieldGuide(t);
    guide.fake.ending = null;
    const ada = createVisitor(guide.base);
    const { id } = await ada.identify([photo, other]);
    guide.fake.decide('job-1', answer({ rose: 0.02 }, { rejected: true, reject_score: 0.98 }));
    await until(() => guide.fake.submitted.length === 2);
    const half = await ada.read(id);
    assert.equal(half.progress?.of, 2);
    guide.fake.decide('job-2', FOXGLOVE);
    const { outcome, photos } = await ada.decided(id);
    assert.equal(outcome?.candidates[0]?.entry.id, 'foxglove');
    assert.deepEqual([outcome?.photos_used, outcome?.photos_left_out], [1, 1]);
    assert.deepEqual(
      photos.map(({ state, note }) => [state, note]),
      [
        ['left_out', 'rejected'],
        ['used', null],
      ],
    );
  });

  test('that is no plant, or not sure, says so', async (t) => {
    const guide = await startFieldGuide(t);
    const ada = createVisitor(guide.base);
    guide.fake.ending = answer({ rose: 0.03 }, { rejected: true, reject_score: 0.97 });
    const no = await ada.decided((await ada.identify([photo])).id);
    assert.equal(no.outcome?.type, 'not_a_plant');
    assert.equal(no.outcome?.label?.id, 'not_a_plant');
    assert.equal(no.outcome?.danger, null);
    guide.fake.ending = answer({ rose: 0.2, artichoke: 0.18 }, { unsure: true });
    const unsure = await ada.decided((await ada.identify([other])).id);
    assert.equal(unsure.outcome?.type, 'unsure');
    assert.equal(unsure.outcome?.danger?.verdict, 'unknown');
  });

  test('that failed says why, and can be tried again with the same photos', async (t) => {
    const guide = await startFieldGuide(t);
    guide.fake.ending = {
      type: 'failed',
      error: { code: 'attempts_exhausted', message: 'three workers were lost' },
      retryable: false,
    };
    const ada = createVisitor(guide.base);
    const { id } = await ada.identify([photo]);
    const failed = await ada.decided(id);
    assert.deepEqual(
      [failed.outcome?.type, failed.outcome?.code, failed.outcome?.retryable],
      ['failed', 'attempts_exhausted', true],
    );
    guide.fake.ending = FOXGLOVE;
    assert.equal((await ada.fetch(`/api/identifications/${id}/retry`, { method: 'POST' })).status, 202);
    assert.equal((await ada.decided(id)).outcome?.type, 'candidates');
    assert.equal((await ada.fetch(`/api/identifications/${id}/retry`, { method: 'POST' })).status, 400);
  });

  test('waits for a worker that never was, and for a queue with room', async (t) => {
    const guide = await startFieldGuide(t);
    guide.fake.refusal = new PosternError('model_not_found', 'no worker ever announced plants');
    const ada = createVisitor(guide.base);
    const { id } = await ada.identify([photo]);
    assert.equal((await ada.read(id)).status, 'waiting');
    guide.fake.refusal = new PosternError('queue_full', 'full', { retryAfterS: 1 });
    guide.fake.refusal = null;
    guide.fake.ending = FOXGLOVE;
    assert.equal((await ada.decided(id)).outcome?.type, 'candidates');
  });

  test('sent twice with one key is one, also for a page that never heard the first answer', async (t) => {
    const guide = await startFieldGuide(t);
    const ada = createVisitor(guide.base);
    const first = await ada.identify([photo], { key: 'tab-1' });
    const again = await ada.identify([photo], { key: 'tab-1' });
    assert.equal(again.id, first.id);
    assert.notEqual((await ada.identify([photo], { key: 'tab-2' })).id, first.id);
    const bob = createVisitor(guide.base);
    assert.notEqual((await bob.identify([photo], { key: 'tab-1' })).id, first.id);
  });

  test('goes on after a restart, with a prediction that was decided, lost or never made in between', async (t) => {
    const fake = createFakePredictions(['plants']);
    fake.ending = null;
    const before = await startFieldGuide(t, { fake });
    const ada = createVisitor(before.base);
    const decided = await ada.identify([photo]);
    fake.refusal = new PosternError('draining', 'the gateway stops', { retryAfterS: 1 });
    const unmade = await ada.identify([other]);
    fake.refusal = null;
    await before.stop();
    fake.decide('job-1', FOXGLOVE);
    fake.ending = FOXGLOVE;
    const after = await startFieldGuide(t, { fake, folder: before.folder });
    const again = createVisitor(after.base, { cookie: ada.cookie });
    assert.equal((await again.decided(decided.id)).outcome?.type, 'candidates');
    assert.equal((await again.decided(unmade.id)).outcome?.type, 'candidates');
    await after.stop();

    // Its prediction is not known any more: another engine.
    const lost = createFakePredictions(['plants']);
    const third = await startFieldGuide(t, { fake: lost, folder: before.folder });
    lost.ending = FOXGLOVE;
    const list = (await (
      await createVisitor(third.base, { cookie: ada.cookie }).fetch('/api/identifications')
    ).json()) as {
      items: Identification[];
    };
    assert.deepEqual(new Set(list.items.map(({ id }) => id)), new Set([decided.id, unmade.id]));
  });

  test('whose prediction nobody knows any more gets another one', async (t) => {
    const forgetful = createFakePredictions(['plants']);
    forgetful.ending = null;
    const before = await startFieldGuide(t, { fake: forgetful });
    const ada = createVisitor(before.base);
    const { id } = await ada.identify([photo]);
    await before.stop();
    const fresh = createFakePredictions(['plants']);
    fresh.ending = FOXGLOVE;
    const after = await startFieldGuide(t, { fake: fresh, folder: before.folder });
    const again = createVisitor(after.base, { cookie: ada.cookie });
    assert.equal((await again.decided(id)).outcome?.type, 'candidates');
    assert.equal(fresh.submitted.length, 1);
  });
});

describe('photos', () => {
  test('lose where and when they were taken before anything is stored, and are turned as EXIF says', async (t) => {
    const guide = await startFieldGuide(t);
    const ada = createVisitor(guide.base);
    const turned = await oriented(pattern(64, 48), 6);
    const tagged = await sharp(turned)
      .withExif({
        IFD0: { Make: 'SecretCamera', Orientation: '6' },
        IFD3: {
          GPSLatitudeRef: 'N',
          GPSLatitude: '37/1 33/1 58/1',
          GPSLongitudeRef: 'E',
          GPSLongitude: '126/1 58/1 41/1',
        },
      })
      .jpeg()
      .toBuffer();
    assert.ok(tagged.includes('SecretCamera') && (await sharp(tagged).metadata()).exif !== undefined);
    const { id, photos } = await ada.identify([tagged]);
    assert.deepEqual([photos[0]?.width, photos[0]?.height], [64, 48]);
    const files = storedFiles(guide.folder);
    assert.equal(files.length, 2);
    for (const file of [...files, join(guide.folder, 'fieldguide.sqlite')]) {
      const bytes = readFileSync(file);
      assert.ok(!bytes.includes('SecretCamera') && !bytes.includes('Exif'), file);
    }
    assert.ok(!Buffer.from(guide.fake.submitted[0]!.input.bytes).includes('Exif'), 'the worker gets none of it either');
    const served = Buffer.from(await (await ada.fetch(`/api/identifications/${id}/photos/0`)).arrayBuffer());
    const { exif, width, height } = await sharp(served).metadata();
    assert.deepEqual([exif, width, height], [undefined, 64, 48]);
    const small = await ada.fetch(`/api/identifications/${id}/photos/0?size=thumb`);
    assert.equal(small.headers.get('content-type'), 'image/jpeg');
    assert.equal(small.headers.get('cache-control'), 'private, max-age=86400');
  });

  const noFiles = (): FormData => new FormData();
  const bad: readonly (readonly [
    what: string,
    body: () => Promise<Uint8Array[]> | FormData | string,
    status: number,
    code: string,
  ])[] = [
    [
      'a text that says it is a photo',
      () => Promise.resolve([Buffer.from('<script>alert(1)</script>')]),
      422,
      'not_an_image',
    ],
    ['an SVG', () => Promise.resolve([Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')]), 422, 'not_an_image'],
    ['an empty file', () => Promise.resolve([Buffer.alloc(0)]), 422, 'empty_input'],
    [
      'half a photo',
      async () => [(await noise(200, 200).jpeg().toBuffer()).subarray(0, 4_000)],
      422,
      'image_truncated',
    ],
    [
      'a photo of 400 megapixels in some kilobytes',
      () => Promise.resolve([flatPng(20_000, 20_000)]),
      422,
      'image_too_large',
    ],
    [
      'a second photo that is none',
      () => Promise.resolve([photo, Buffer.from('no photo at all')]),
      422,
      'not_an_image',
    ],
    ['six photos', () => Promise.resolve(Array.from({ length: 6 }, () => photo)), 400, 'bad_multipart'],
    ['a form without a file', noFiles, 400, 'missing_input'],
    [
      'a form with a text',
      () => {
        const form = new FormData();
        form.append('photo', 'rose.jpg');
        return form;
      },
      400,
      'bad_multipart',
    ],
    ['JSON', () => '{"photo":"data:image/png;base64,AA=="}', 400, 'bad_parameter'],
    ['more bytes than a body may have', () => Promise.resolve([Buffer.alloc(200_000)]), 413, 'body_too_large'],
  ];
  for (const [what, body, status, code] of bad) {
    test(`${what}: ${code}, and nothing is kept`, async (t) => {
      const guide = await startFieldGuide(t, { http: { maxBodyBytes: 150_000 } });
      const ada = createVisitor(guide.base);
      const made = await body();
      const response = Array.isArray(made)
        ? await ada.send(made)
        : await ada.fetch('/api/guides/plants/identifications', {
            method: 'POST',
            body: made,
            ...(typeof made === 'string' ? { headers: { 'content-type': 'application/json' } } : {}),
          });
      const problem = (await response.json()) as { code: string; detail: string };
      assert.deepEqual([response.status, problem.code], [status, code], problem.detail);
      if (what === 'a second photo that is none') assert.match(problem.detail, /^photo 2: /);
      assert.deepEqual(storedFiles(guide.folder), []);
      assert.equal(guide.fake.submitted.length, 0);
      assert.deepEqual(guide.errors, []);
    });
  }
});

describe('whose it is', () => {
  test('somebody else, and nobody, are answered as if it never was', async (t) => {
    const guide = await startFieldGuide(t);
    guide.fake.ending = FOXGLOVE;
    const ada = createVisitor(guide.base);
    const { id } = await ada.identify([photo]);
    const bob = createVisitor(guide.base);
    await bob.identify([other]);
    for (const visitor of [bob, createVisitor(guide.base)]) {
      for (const [method, path] of [
        ['GET', ''],
        ['DELETE', ''],
        ['POST', '/retry'],
        ['GET', '/photos/0'],
        ['DELETE', '/feedback'],
        ['DELETE', '/share'],
      ] as const) {
        const response = await visitor.fetch(`/api/identifications/${id}${path}`, { method });
        assert.equal(response.status, 404, `${method} ${path}`);
        assert.equal(((await response.json()) as { code: string }).code, 'identification_not_found');
      }
    }
    const empty = (await (await createVisitor(guide.base).fetch('/api/identifications')).json()) as object;
    assert.deepEqual(empty, { items: [], next: null });
  });

  test('the token is in no file that the gateway keeps, and scripts cannot read the cookie', async (t) => {
    const guide = await startFieldGuide(t);
    const ada = createVisitor(guide.base);
    const response = await ada.send([photo]);
    assert.match(response.headers.get('set-cookie') ?? '', /HttpOnly; SameSite=Strict; Max-Age=31536000$/);
    const token = ada.cookie.split('=')[1] ?? '';
    assert.equal(token.length, 43);
    for (const file of globSync(join(guide.folder, 'fieldguide.sqlite*'))) {
      assert.ok(!readFileSync(file).includes(token), file);
    }
  });

  test('a page of another origin sends the token as a header, and gets no cookie', async (t) => {
    const origin = 'https://guide.example';
    const guide = await startFieldGuide(t, { http: { corsOrigins: [origin] } });
    const token = 'a'.repeat(43);
    const app = createVisitor(guide.base, { 'x-guide-owner': token, origin });
    const response = await app.send([photo]);
    assert.equal(response.status, 202);
    assert.deepEqual(response.headers.getSetCookie(), []);
    assert.equal(response.headers.get('access-control-allow-origin'), origin);
    const { id } = (await response.json()) as Identification;
    assert.equal((await app.read(id)).id, id);
    const bad = await createVisitor(guide.base, { 'x-guide-owner': 'short' }).fetch('/api/identifications');
    assert.equal(bad.status, 400);
  });

  test('a page of another site cannot use the cookie', async (t) => {
    const guide = await startFieldGuide(t);
    const ada = createVisitor(guide.base);
    const { id } = await ada.identify([photo]);
    const evil = createVisitor(guide.base, { origin: 'https://evil.example', cookie: ada.cookie });
    for (const response of [
      await evil.fetch(`/api/identifications/${id}`, { method: 'DELETE' }),
      await evil.fetch('/api/identifications', { method: 'DELETE' }),
      await evil.send([photo]),
    ]) {
      assert.equal(response.status, 403);
    }
    assert.equal((await ada.read(id)).id, id);
  });

  test('a gateway with a key takes photos from those who have it, or from everybody when it is open', async (t) => {
    const { createKey } = await import('../../identity/keys/records.ts');
    const guide = await startFieldGuide(t);
    const audited = { actor: 'test', at: Date.now() };
    const { token } = createKey(guide.records, { name: 'ada', scopes: ['predict'] }, audited);
    assert.equal((await createVisitor(guide.base).send([photo])).status, 401);
    const withKey = createVisitor(guide.base, { authorization: `Bearer ${token}` });
    assert.equal((await withKey.send([photo])).status, 202);
    const open = await startFieldGuide(t, { http: { open: true }, start: { records: guide.records } });
    assert.equal((await createVisitor(open.base).send([photo])).status, 202);
  });

  test('who sends too much is told when to come back', async (t) => {
    const guide = await startFieldGuide(t);
    guide.fake.ending = FOXGLOVE;
    const ada = createVisitor(guide.base);
    let response = await ada.send([photo]);
    for (let sent = 1; response.status === 202 && sent < 40; sent += 1) response = await ada.send([photo]);
    assert.equal(response.status, 429);
    assert.ok(Number(response.headers.get('retry-after')) >= 1);
  });
});

describe('forgetting', () => {
  test('delete removes the photos, unless another identification has the very same ones, and cancels what runs', async (t) => {
    const guide = await startFieldGuide(t);
    guide.fake.ending = null;
    const ada = createVisitor(guide.base);
    const first = await ada.identify([photo]);
    const second = await ada.identify([photo]);
    assert.equal(storedFiles(guide.folder).length, 2);
    assert.equal((await ada.fetch(`/api/identifications/${first.id}`, { method: 'DELETE' })).status, 204);
    assert.equal(storedFiles(guide.folder).length, 2);
    assert.equal((await guide.fake.get('job-1'))?.status, 'canceled');
    assert.equal((await ada.fetch(second.photos[0]?.url ?? '')).status, 200);
    assert.equal((await ada.fetch(`/api/identifications/${second.id}`, { method: 'DELETE' })).status, 204);
    assert.deepEqual(storedFiles(guide.folder), []);
    assert.equal((await ada.fetch(`/api/identifications/${second.id}`)).status, 404);
  });

  test('everything of mine goes at once, with the cookie', async (t) => {
    const guide = await startFieldGuide(t);
    guide.fake.ending = FOXGLOVE;
    const ada = createVisitor(guide.base);
    const ids = [await ada.identify([photo]), await ada.identify([other])].map(({ id }) => id);
    const before = ada.cookie;
    const response = await ada.fetch('/api/identifications', { method: 'DELETE' });
    assert.match(response.headers.get('set-cookie') ?? '', /=; Path=\/; HttpOnly; SameSite=Strict; Max-Age=0$/);
    assert.deepEqual(storedFiles(guide.folder), []);
    const again = createVisitor(guide.base, { cookie: before });
    for (const id of ids) assert.equal((await again.fetch(`/api/identifications/${id}`)).status, 404);
  });
});
