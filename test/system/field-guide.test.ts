/**
 * The field guide as people use it: gateway, worker and the plants model, each a process; photos of the data's test split. What was accepted
 * is decided, whoever dies in between; what is personal is not kept; what is deleted is gone.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import sharp from 'sharp';
import type { Identification } from '../support/field-guide-shapes.ts';
import { PosternSystem, until, untilModel, type Gateway, type Process } from '../support/postern.ts';
import { needsSamples, sample } from '../support/samples.ts';
import { createVisitor } from '../support/visitor.ts';

const CAMERA = 'SecretCamera9000';

/** As a phone would have made it. */
const withPlace = (photo: Buffer): Promise<Buffer> =>
  sharp(photo)
    .withExif({
      IFD0: { Make: CAMERA },
      IFD3: {
        GPSLatitudeRef: 'N',
        GPSLatitude: '37/1 33/1 58/1',
        GPSLongitudeRef: 'E',
        GPSLongitude: '126/1 58/1 41/1',
      },
    })
    .jpeg()
    .toBuffer();

suite('the field guide', { skip: needsSamples(), timeout: 280_000 }, () => {
  const system = new PosternSystem();
  let gateway: Gateway;
  let worker: Process;
  let identity: string;

  before(async () => {
    gateway = await system.gateway();
    identity = system.issue('gpu-1');
    worker = system.worker(gateway, identity);
    await untilModel(gateway.url, 'plants', 120_000);
  });
  after(() => system.remove());

  const filesWith = (text: string): string[] =>
    globSync(join(system.folder, '**/*')).filter((file) => {
      try {
        return readFileSync(file).includes(text);
      } catch {
        return false;
      }
    });

  test('names a poisonous plant, says so, and keeps nothing of where it stands', async () => {
    const ada = createVisitor(gateway.url);
    const tagged = await withPlace(sample('oleander_0'));
    assert.ok(tagged.includes(CAMERA));
    const sent = await ada.identify([tagged]);
    const { outcome } = await ada.decided(sent.id);
    assert.equal(outcome?.type, 'candidates');
    assert.ok(outcome.candidates.some(({ entry }) => entry.id === 'oleander'));
    assert.equal(outcome.danger?.verdict, 'dangerous');
    assert.ok(outcome.danger.causes.some(({ parts }) => parts !== null));
    assert.deepEqual(filesWith(CAMERA), []);
    assert.deepEqual(filesWith(ada.cookie.split('=')[1] ?? 'no cookie'), []);
  });

  test('makes one answer of several photos, and leaves out the one that shows a garment', async () => {
    const ada = createVisitor(gateway.url);
    const { id } = await ada.identify([
      sample('lily_of_the_valley_0'),
      sample('clothes_dress'),
      sample('lily_of_the_valley_1'),
    ]);
    const { outcome, photos } = await ada.decided(id);
    assert.equal(outcome?.candidates[0]?.entry.id, 'lily_of_the_valley');
    assert.deepEqual([outcome?.photos_used, outcome?.photos_left_out], [2, 1]);
    assert.deepEqual(
      photos.map(({ state }) => state),
      ['used', 'left_out', 'used'],
    );
  });

  test('says that a garment is no plant, and another guide says which one it is', async () => {
    const ada = createVisitor(gateway.url);
    await untilModel(gateway.url, 'clothes', 120_000);
    const plant = await ada.identify([sample('clothes_dress')]);
    const clothes = await ada.identify([sample('clothes_dress')], { guide: 'clothes' });
    assert.equal((await ada.decided(plant.id)).outcome?.type, 'not_a_plant');
    const named = await ada.decided(clothes.id);
    assert.equal(named.outcome?.candidates[0]?.entry.id, 'dress');
    assert.equal(named.outcome?.danger, null);
  });

  test('waits for a worker that was killed while it had the photo, and says when it was seen', async () => {
    const ada = createVisitor(gateway.url);
    worker.child.kill('SIGSTOP');
    const { id } = await ada.identify([sample('common_dandelion_0'), sample('common_dandelion_1')]);
    await until('the worker to have it', 60_000, async () =>
      (await ada.read(id)).status === 'processing' ? true : null,
    );
    await worker.kill();
    worker = system.worker(gateway, identity);
    const { outcome } = await ada.decided(id);
    assert.equal(outcome?.candidates[0]?.entry.id, 'common_dandelion');
  });

  test('goes on where it was after the gateway was killed in between', async () => {
    const ada = createVisitor(gateway.url);
    await untilModel(gateway.url, 'plants', 120_000);
    worker.child.kill('SIGSTOP');
    const running = await ada.identify([sample('oleander_1')]);
    await until('the worker to have it', 60_000, async () =>
      (await ada.read(running.id)).status === 'processing' ? true : null,
    );
    await gateway.kill();
    gateway = await system.gateway({ httpPort: gateway.httpPort, tunnelPort: gateway.tunnelPort });
    worker.child.kill('SIGCONT');
    const again = createVisitor(gateway.url, { cookie: ada.cookie });
    assert.equal((await again.decided(running.id)).outcome?.type, 'candidates');
    const own = (await (await again.fetch('/api/identifications')).json()) as { items: Identification[] };
    assert.deepEqual(
      own.items.map(({ id, status }) => [id, status]),
      [[running.id, 'decided']],
    );
  });

  test('takes photos without a worker, and keeps them until one is there', async () => {
    const ada = createVisitor(gateway.url);
    await untilModel(gateway.url, 'plants', 120_000);
    await worker.stop();
    const { id } = await ada.identify([sample('eastern_poison_ivy_0')]);
    const waiting = await until('the gateway to notice', 60_000, async () => {
      const one = await ada.read(id);
      return one.worker?.state === 'away' ? one : null;
    });
    assert.equal(waiting.status, 'waiting');
    assert.ok(Date.parse(waiting.worker?.last_seen_at ?? '') > 0);
    worker = system.worker(gateway, identity);
    const { outcome } = await ada.decided(id);
    assert.equal(outcome?.danger?.verdict, 'dangerous');
  });

  test('deletes what its owner deletes: the photos’ bytes, the record, the link', async () => {
    const ada = createVisitor(gateway.url);
    const before = globSync(join(system.folder, 'gateway/photos/??/??/*'));
    const { id } = await ada.identify([sample('lily_of_the_valley_2')]);
    await ada.decided(id);
    const { token } = (await (await ada.postJson(`/api/identifications/${id}/share`, { photos: true })).json()) as {
      token: string;
    };
    assert.equal((await fetch(`${gateway.url}/api/shares/${token}/photos/0`)).status, 200);
    assert.equal((await ada.fetch(`/api/identifications/${id}`, { method: 'DELETE' })).status, 204);
    for (const path of [`/api/shares/${token}`, `/api/shares/${token}/photos/0`]) {
      assert.equal((await fetch(gateway.url + path)).status, 404);
    }
    assert.equal((await ada.fetch(`/api/identifications/${id}`)).status, 404);
    assert.deepEqual(globSync(join(system.folder, 'gateway/photos/??/??/*')).sort(), before.sort());
  });
});
