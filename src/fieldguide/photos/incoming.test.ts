/** Photos that go to S3 directly and are fetched from there, with a real server that speaks S3. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import sharp from 'sharp';
import { createS3Blobs } from '../../blobs/s3.ts';
import { systemClock } from '../../clock.ts';
import { succeeded } from '../../../test/support/fake-predictions.ts';
import { startFieldGuide } from '../../../test/support/field-guide.ts';
import type { Identification } from '../../../test/support/field-guide-shapes.ts';
import { pattern } from '../../../test/support/images.ts';
import { needsS3, startS3Server, type S3Server } from '../../../test/support/s3-server.ts';
import { createVisitor } from '../../../test/support/visitor.ts';

interface Offer {
  readonly upload: string;
  readonly url: string;
  readonly fields: Readonly<Record<string, string>>;
}

suite('photos by way of S3', { skip: needsS3(), timeout: 120_000 }, () => {
  let server: S3Server;
  before(async () => {
    server = await startS3Server();
  });
  after(() => server?.stop());

  const post = ({ url, fields }: Offer, bytes: Uint8Array, type = fields['Content-Type'] ?? ''): Promise<Response> => {
    const form = new FormData();
    for (const [name, value] of Object.entries({ ...fields, 'Content-Type': type })) form.append(name, value);
    form.append('file', new Blob([Buffer.from(bytes)], { type }));
    return fetch(url, { method: 'POST', body: form });
  };

  test('are sent with a signed form, made anew, and gone from where they came in; others are refused by S3 or by the gateway', async (t) => {
    const place = await server.newBucket('photos');
    const blobs = createS3Blobs({ place, clock: systemClock });
    const guide = await startFieldGuide(t, { options: { blobs } });
    guide.fake.ending = succeeded();
    const ada = createVisitor(guide.base);
    const status = (await (await ada.fetch('/api/guides/plants/status')).json()) as { upload: { mode: string } };
    assert.equal(status.upload.mode, 'presigned');

    const photo = await pattern(64, 48)
      .withExif({ IFD0: { Make: 'SecretCamera' } })
      .jpeg()
      .toBuffer();
    const offered = await ada.postJson('/api/guides/plants/uploads', {
      photos: [{ type: 'image/jpeg', bytes: photo.length }],
    });
    assert.equal(offered.status, 201);
    const { items } = (await offered.json()) as { items: Offer[] };
    const [offer] = items as [Offer];
    assert.ok((await post(offer, Buffer.alloc(photo.length + 1))).status >= 400, 'more bytes than were announced');
    assert.ok((await post(offer, photo, 'text/html')).status >= 400, 'another type');
    const early = await ada.postJson('/api/guides/plants/identifications', { uploads: [offer.upload] });
    assert.deepEqual([early.status, ((await early.json()) as { code: string }).code], [400, 'missing_input']);
    assert.ok((await post(offer, photo)).ok);

    const made = await ada.postJson('/api/guides/plants/identifications', { uploads: [offer.upload] });
    assert.equal(made.status, 202);
    const { id } = (await made.json()) as Identification;
    assert.equal((await ada.decided(id)).outcome?.type, 'candidates');
    const kept = Buffer.from(await (await ada.fetch(`/api/identifications/${id}/photos/0`)).arrayBuffer());
    assert.equal((await sharp(kept).metadata()).exif, undefined);
    assert.equal(await blobs.direct?.readUpload(offer.upload), null);
    assert.equal((await ada.fetch(`/api/identifications/${id}`, { method: 'DELETE' })).status, 204);
    assert.deepEqual(await blobs.list(null, 10), []);

    const form = await ada.identify([photo]);
    assert.equal((await ada.decided(form.id)).outcome?.type, 'candidates', 'a form works too');
    for (const body of [{ uploads: [] }, { uploads: ['../x'] }, { photos: [] }]) {
      assert.equal((await ada.postJson('/api/guides/plants/identifications', body)).status, 400);
    }
  });
});

test('where there is no S3, nobody is sent there', async (t) => {
  const guide = await startFieldGuide(t);
  const ada = createVisitor(guide.base);
  const offered = await ada.postJson('/api/guides/plants/uploads', { photos: [{ type: 'image/jpeg', bytes: 5 }] });
  assert.equal(offered.status, 400);
  assert.match(((await offered.json()) as { detail: string }).detail, /as a form/);
});
